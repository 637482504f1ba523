"""Classes of a single example, which are trained on and reported as not validated."""

import pytest

import kft
from kft.errors import InputError
from kft.family.fit_data import NOT_VALIDATED
from tests.family.test_solving import pictures, recipe_of
from tests.tiny_recipe import TinyRecipe

X, KINDS, _ = pictures(60)


class Solving(TinyRecipe):
    """A recipe with the default stages of a family."""

    default_stages = kft.Recipe.default_stages


def test_one_example_of_each_class_makes_a_model(tmp_path, capsys):
    recipe = Solving(num_classes=3, image_size=(16, 16))
    run = recipe.fit((X[:3], KINDS[:3]), run_dir=tmp_path / "run", verbose=2)
    assert NOT_VALIDATED in " ".join(capsys.readouterr().out.split())
    assert (run.evaluation, run.validation) == (None, None)
    assert len(recipe.origin["plan"]["stages"]) == 1 < len(recipe.default_stages())
    assert recipe.evaluate((X, KINDS)).accuracy > 0.6  # a third is chance
    again = Solving(num_classes=3, image_size=(16, 16))
    again.fit((X[:3], KINDS[:3]), run_dir=tmp_path / "run", verbose=0)
    assert again.predict(X[:9]).labels == recipe.predict(X[:9]).labels


@pytest.mark.once
def test_stages_of_one_s_own_take_all_of_their_epochs_then():
    recipe = recipe_of(kft.tasks.Classification(3))
    stages = [kft.Stage(0, epochs=5, learning_rate=1e-9)]  # no epoch is an improvement
    run = recipe.fit((X[:3], KINDS[:3]), stages=stages, verbose=0)
    assert run.history["stage"] == [1] * 5


@pytest.mark.once
def test_a_class_of_one_among_others_is_in_the_training_part(capsys):
    chosen = [*range(0, 60, 3), *range(1, 60, 3), 2]
    run = recipe_of(kft.tasks.Classification(3)).fit((X[chosen], KINDS[chosen]))
    assert (run.training.counts()["2"], run.validation.counts()["2"]) == (1, 0)
    assert "1 class has a single distinct example" in " ".join(capsys.readouterr().out.split())


@pytest.mark.once
def test_a_temperature_is_not_found_without_validation_data():
    with pytest.raises(InputError, match=r"calibrate=True.*no example to spare.*add examples"):
        recipe_of(kft.tasks.Classification(3)).fit(
            (X[:3], KINDS[:3]), finish=kft.Finish(calibrate=True), verbose=0
        )


@pytest.mark.once
def test_a_search_needs_validation_data(tmp_path):
    with pytest.raises(InputError, match="too few for a validation split"):
        TinyRecipe(num_classes=3).tune((X[:3], KINDS[:3]), run_dir=tmp_path / "search")
