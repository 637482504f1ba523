import io
import re

import keras
import numpy as np
import pytest
from PIL import Image

import kft
from kft.errors import InputError, NonFiniteLossError
from kft.family import saving
from kft.recipe.recipe import Recipe
from kft.runs.commits import read_commit
from kft.stages.stage import Stage
from tests.small_images import TinyRecipe, bright_sides

STAGES = [
    Stage(unfreeze=0, epochs=2, learning_rate=1e-2),
    Stage(unfreeze=1, epochs=2, learning_rate=1e-2, warmup=0.25),
    Stage(unfreeze="all", epochs=6, learning_rate=1e-2),
]
SHORT = [Stage(0, 1, 1e-2), Stage("all", 1, 1e-3)]


def fit(recipe, data, stages=SHORT, **settings):
    settings = {"batch_size": 8, "verbose": 0, "early_stopping": None, **settings}
    return recipe.fit(data, stages=stages, **settings)


def weights(recipe):
    return [keras.ops.convert_to_numpy(weight) for weight in recipe.model.weights]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_fitting_in_stages_learns_and_is_one_history(tmp_path):
    recipe = TinyRecipe(num_classes=2)
    run = fit(recipe, bright_sides(), STAGES, run_dir=tmp_path / "run", batch_norm="train")
    assert run.history["stage"] == [1, 1, 2, 2, 3, 3, 3, 3, 3, 3]
    assert len(run.history["val_loss"]) == len(run.history["learning_rate"]) == 10
    assert recipe.evaluate(bright_sides(seed=1)).accuracy > 0.9
    assert recipe.classes == ("0", "1")
    files = {path.name for path in run.run_dir.iterdir()}
    assert files - {"features"} == {
        "distances.json",
        "examples.json",
        "history.json",
        "journal.json",
        "recipe.json",
        "report.html",
        "weights.safetensors",
    }
    assert "TinyRecipe" in repr(run)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_equal_arguments_and_seed_give_equal_weights_and_another_seed_others():
    def trained(seed):
        recipe = TinyRecipe(num_classes=2, seed=seed)
        fit(recipe, bright_sides(20), [Stage("all", 2, 1e-2)], seed=seed)
        return weights(recipe)

    assert same(trained(1), trained(1))
    assert not same(trained(1), trained(2))


@pytest.mark.once
def test_a_finished_run_is_loaded_not_trained_again(tmp_path, capsys):
    first = TinyRecipe(num_classes=2)
    trained = fit(first, bright_sides(20), run_dir=tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    second = TinyRecipe(num_classes=2)
    run = fit(second, bright_sides(20), run_dir=tmp_path / "run", verbose=2)
    assert "loaded, not trained again" in capsys.readouterr().out
    title, table = str(run.evaluation).split("\n", 1)
    assert (title, table in str(trained.evaluation)) == ("Single label, 4 examples", True)
    assert run.evaluation.accuracy == trained.evaluation.accuracy
    assert run.evaluation.task == trained.evaluation.task
    assert run.to_dict() == trained.to_dict()
    assert same(weights(first), weights(second))
    assert run.history["stage"] == [1, 2]
    assert run.report() == tmp_path / "run" / "report.html"
    assert run.report().read_text(encoding="utf-8") == page


@pytest.mark.once
def test_a_run_directory_of_another_plan_is_refused_and_the_difference_shown(tmp_path):
    fit(TinyRecipe(num_classes=2), bright_sides(20), run_dir=tmp_path / "run")
    other = [SHORT[0], Stage("all", 1, 5e-3)]
    with pytest.raises(InputError, match=r"stages\[1\].learning_rate: 0.001 there, 0.005 here"):
        fit(TinyRecipe(num_classes=2), bright_sides(20), other, run_dir=tmp_path / "run")
    with pytest.raises(InputError, match=r"dropout: 0.2 there, 0.5 here"):
        fit(TinyRecipe(num_classes=2, dropout=0.5), bright_sides(20), run_dir=tmp_path / "run")
    with pytest.raises(InputError, match=r"train\.sha256"):
        fit(TinyRecipe(num_classes=2), bright_sides(20, seed=1), run_dir=tmp_path / "run")


@pytest.mark.once
def test_a_directory_with_other_files_is_refused_before_training(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="no run"):
        fit(TinyRecipe(num_classes=2), bright_sides(20), run_dir=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_fitting_again_goes_on_from_the_weights():
    recipe = TinyRecipe(num_classes=2)
    fit(recipe, bright_sides(20))
    before = weights(recipe)
    fit(recipe, bright_sides(20), [Stage(0, 1, 1e-9)])
    assert same(before[:4], weights(recipe)[:4])
    fresh = TinyRecipe(num_classes=2)
    assert not same(before[:4], weights(fresh)[:4])


def test_a_loss_that_is_not_finite_ends_training_and_keeps_the_last_good_state(tmp_path):
    with pytest.raises(NonFiniteLossError, match=r"loss` is (nan|inf) in epoch 1 .*learning_rate"):
        fit(
            TinyRecipe(num_classes=1, task="regression"),
            (bright_sides(20)[0], np.linspace(0, 1, 20)),
            [Stage("all", 1, 1e30)],
            run_dir=tmp_path / "run",
        )
    (commit,) = (tmp_path / "run" / "state").glob("commit-*")
    kept = [v for name, v in read_commit(commit).arrays.items() if name.startswith("model/")]
    assert all(np.isfinite(value).all() for value in kept)
    with pytest.raises(InputError, match="not a finished run"):
        kft.load(tmp_path / "run")


def test_several_labels_from_fit_to_prediction():
    x, y = bright_sides(32)
    targets = np.stack([y, 1 - y, np.ones_like(y)], axis=1)
    recipe = TinyRecipe(num_classes=3, task="multi_label", classes=["right", "left", "all"])
    stages = [Stage("all", 8, 2e-2)]
    fit(recipe, (x, targets), stages, batch_norm="train")
    assert recipe.evaluate((x, targets)).subset_accuracy > 0.8
    assert [set(label) for label in recipe.predict(x[:2]).labels] == [
        {"left", "all"},
        {"right", "all"},
    ]


def test_regression_answers_in_the_unit_of_the_targets(tmp_path):
    x, y = bright_sides(32)
    targets = 5000.0 + 2000.0 * y
    recipe = TinyRecipe(num_classes=1, task="regression")
    fit(recipe, (x, targets), [Stage("all", 12, 2e-2)], batch_norm="train")
    evaluation = recipe.evaluate((x, targets))
    assert evaluation.rmse < 800
    assert evaluation.r2 > 0.5
    loaded = saving.load(recipe.save(tmp_path / "run"), recipe=TinyRecipe)
    np.testing.assert_allclose(loaded.predict(x[:4]).scores, recipe.predict(x[:4]).scores)
    assert 4000 < recipe.predict(x[:1])[0].label < 8000


def test_paths_bytes_and_arrays_get_the_same_answer(tmp_path):
    recipe = TinyRecipe(num_classes=2)
    pixels = np.round(bright_sides(1)[0][0]).astype(np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    answers = [
        recipe.predict(raw).scores for raw in (str(path), path, [path.read_bytes()], pixels[None])
    ]
    for answer in answers[1:]:
        np.testing.assert_allclose(answer, answers[0], rtol=1e-6)
    large = np.kron(pixels, np.ones((2, 2, 1), np.uint8))
    assert len(recipe.predict([pixels, large])) == 2
    with pytest.raises(InputError, match="no inputs"):
        recipe.predict([])


@pytest.mark.once
@pytest.mark.parametrize("balance", ["weights", "oversample", "undersample"])
def test_balance_reaches_the_batches(balance):
    x, y = bright_sides(24)
    keep = np.r_[np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:4]]
    run = fit(TinyRecipe(num_classes=2), (x[keep], y[keep]), balance=balance)
    assert np.isfinite(run.history["loss"]).all()


def test_augmentation_sees_each_epoch_another_seed_and_may_return_soft_targets():
    seeds = []

    def fade(x, y, seed):
        seeds.append(seed)
        return x * 0.9, y * 0.8 + 0.1

    fade.soft_targets = True
    run = fit(TinyRecipe(num_classes=2), bright_sides(20), augment=fade)
    assert np.isfinite(run.history["val_loss"]).all()
    assert len(set(seeds)) == 4  # 2 epochs of 2 batches


def test_kept_views_of_the_augmentation_take_turns():
    turned = {"augment": [keras.layers.RandomFlip("horizontal")], "cache": kft.Cache(True, views=2)}
    recipe = TinyRecipe(num_classes=2, dropout=0.0, weight_decay=0.0)
    run = fit(recipe, bright_sides(20), [Stage(0, 5, 1e-12)], **turned)
    loss = run.history["loss"]
    assert loss[:2] == pytest.approx(loss[2:4], rel=1e-5)
    assert loss[0] == pytest.approx(loss[4], rel=1e-5)
    assert loss[0] != pytest.approx(loss[1], rel=1e-4)
    assert len(set(run.history["val_loss"])) == 1
    assert "are kept: " in run.stages_table


@pytest.mark.once
def test_without_validation_data_a_part_of_the_training_data_is_held_back():
    run = fit(TinyRecipe(num_classes=2), bright_sides(40), validation_data=0.25)
    assert len(run.evaluation) == 10


def test_kernels_are_decayed_and_norms_and_biases_are_not():
    recipe = TinyRecipe(num_classes=2, weight_decay=20.0)
    before = weights(recipe)
    fit(recipe, bright_sides(20), [Stage("all", 1, 1e-2)], batch_norm="train")
    for weight, old, new in zip(recipe.model.weights, before, weights(recipe), strict=True):
        if weight.name == "kernel":
            assert np.linalg.norm(new) < 0.8 * np.linalg.norm(old)
        if weight.name in ("gamma", "beta", "bias"):
            np.testing.assert_allclose(new, old, atol=0.1)


def test_a_tf_dataset_of_another_size_is_resized_on_the_way():
    import tensorflow as tf

    x, y = bright_sides(20)
    data = tf.data.Dataset.from_tensor_slices((np.kron(x, np.ones((1, 2, 2, 1))), y)).batch(8)
    recipe = TinyRecipe(num_classes=2)
    run = recipe.fit(data, data, stages=SHORT, verbose=0)
    assert run.history["stage"] == [1, 2]
    assert recipe.evaluate(data).accuracy == run.evaluation.accuracy


@pytest.mark.once
def test_a_stream_that_cannot_be_split_or_never_ends_is_refused():
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices(bright_sides(20)).batch(8)
    with pytest.raises(InputError, match="pass validation_data"):
        fit(TinyRecipe(num_classes=2), data)
    recipe = TinyRecipe(num_classes=2)
    with pytest.raises(
        InputError, match=r"never ends: pass recipe.read\(data, steps_per_epoch=n\)"
    ):
        recipe.fit(data.repeat(), data, stages=SHORT, verbose=0)
    run = recipe.fit(recipe.read(data.repeat(), steps_per_epoch=2), data, stages=SHORT, verbose=0)
    assert len(run.history["loss"]) == 2


@pytest.mark.once
def test_a_stream_of_unknown_length_trains_as_one_of_known_length():
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices(bright_sides(20)).batch(8)
    unknown = data.filter(lambda *_: True)
    assert int(unknown.cardinality()) == tf.data.UNKNOWN_CARDINALITY
    ended = []
    for source in (data, unknown):
        recipe = TinyRecipe(num_classes=2, dropout=0.0)
        recipe.fit(source, data, stages=[Stage(0, 3, 1e-2, warmup=0.5)], verbose=0)
        ended.append(weights(recipe))
        assert int(recipe.model.optimizer.iterations) == 9
    for one, other in zip(*ended, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


@pytest.mark.once
def test_images_that_were_scaled_already_are_refused():
    x, y = bright_sides(20)
    with pytest.raises(InputError, match="0 to 255 are expected"):
        fit(TinyRecipe(num_classes=2), (x / 255, y))


VIEWS = kft.Cache(views=2)


@pytest.mark.once
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"early_stopping": 3}, "early_stopping=3"),
        ({"cache": VIEWS}, "cache=kft.Cache(views=2)` needs an augmentation by name"),
        ({"cache": VIEWS, "augment": lambda x, y, seed: (x, y)}, "augment='light'"),
        ({"cache": VIEWS, "augment": "strong"}, "MixUp and CutMix"),
        ({"augment": "sepia"}, "augment='sepia'"),
        ({"cache": "always"}, "cache='always'"),
        ({"stages": []}, "stages="),
        ({"balance": "magic"}, "balance='magic'"),
    ],
)
def test_a_bad_setting_of_fit_is_named_before_training(settings, named):
    with pytest.raises(InputError, match=re.escape(named)):
        TinyRecipe(num_classes=2).fit(bright_sides(20), **{"verbose": 0, **settings})


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"num_classes": 1}, "num_classes=1"),
        ({"num_classes": 2, "name": "Huge"}, "name='Huge'"),
        ({"num_classes": 2, "image_size": (4, 16)}, "image_size=(4, 16)"),
        ({"num_classes": 2, "image_size": "large"}, "image_size='large'"),
        ({"num_classes": 2, "weights": "missing.h5"}, "weights='missing.h5'"),
        ({"num_classes": 2, "pooling": "cls"}, "pooling='cls'"),
        ({"num_classes": 2, "max_pixels": 9}, "max_pixels=9`: pass a whole number from"),
        ({"num_classes": 2, "max_pixels": "50M"}, "max_pixels='50M'"),
        ({"num_classes": 2, "weight_decay": -1}, "weight_decay=-1"),
        ({"num_classes": 2, "classes": ["a", "b", "c"]}, "num_classes=2"),
        ({"num_classes": 1, "task": "regression", "classes": ["a"]}, "task='regression'"),
    ],
)
def test_a_bad_argument_of_a_recipe_is_named_with_its_value(arguments, named):
    with pytest.raises(InputError, match=re.escape(named)):
        TinyRecipe(**arguments)


@pytest.mark.once
def test_data_with_another_number_of_classes_name_them():
    with pytest.raises(InputError, match=r"3 classes \(0, 1, 2\), but `num_classes=2`"):
        fit(TinyRecipe(num_classes=2), bright_sides(30, classes=3))


@pytest.mark.once
def test_the_image_of_a_prediction_table_is_named():
    recipe = TinyRecipe(num_classes=2, classes=["left", "right"])
    file = io.BytesIO()
    Image.new("RGB", (20, 20)).save(file, "PNG")
    table = recipe.predict([file.getvalue()])
    assert str(table).splitlines()[0].split() == ["input", "label", "probability"]
    assert table[0].label in ("left", "right")
    assert table[0].score == max(table[0].scores.values())
    assert "<table>" in table._repr_html_()
    assert table.to_dict()["label"] == table.labels


@pytest.mark.parametrize("cache", [False, True])
def test_caching_can_be_chosen_and_changes_no_weights(cache):
    def trained(cache):
        recipe = TinyRecipe(num_classes=2)
        fit(recipe, bright_sides(20), [Stage(0, 1, 1e-2)], cache=cache)
        return weights(recipe)

    for with_cache, automatic in zip(trained(cache), trained("auto"), strict=True):
        np.testing.assert_allclose(with_cache, automatic, atol=1e-6)


@pytest.mark.once
def test_an_untrained_recipe_learns_no_classes_from_an_evaluation():
    recipe = TinyRecipe(num_classes=2)
    x, y = bright_sides()
    assert recipe.evaluate((x, np.array(["u", "v"])[y])).classes == ("u", "v")
    recipe.evaluate((x, np.array(["u", "v"])[y]), perturb=["contrast"])
    assert recipe.classes is None
    fit(recipe, (x, np.array(["dark", "light"])[y]))
    assert recipe.classes == ("dark", "light")


@pytest.mark.once
def test_labels_that_are_numbers_but_no_class_numbers_are_told_what_to_do():
    x, y = bright_sides()
    with pytest.raises(InputError, match=r"6 classes .*Numbers count classes from 0: pass text"):
        fit(TinyRecipe(num_classes=2), (x, np.array([1, 5])[y]))


def test_the_outcome_is_evaluated_on_kept_features(monkeypatch):
    """No image is read again, and the figures are those of the whole model."""
    loaded = []
    load = TinyRecipe.load
    monkeypatch.setattr(
        TinyRecipe, "load", lambda self, raw: loaded.append(len(raw)) or load(self, raw)
    )
    recipe = TinyRecipe(num_classes=2)
    stages = [Stage(0, 2, 1e-2), Stage(1, 1, 1e-3)]
    run = recipe.fit(bright_sides(20), bright_sides(10, 1), stages=stages, cache=True, verbose=0)
    assert sum(loaded) == 30
    again = recipe.evaluate(bright_sides(10, 1))
    assert sum(loaded) == 40
    assert run.evaluation.figures == pytest.approx(again.figures, abs=1e-5)


@pytest.mark.once
def test_every_hook_says_which_class_lacks_it():
    class Empty(Recipe):
        modality = "image"

    recipe = Empty(num_classes=2)
    for call in (recipe.inputs, lambda: recipe.backbone(None), lambda: recipe.load([])):
        with pytest.raises(NotImplementedError, match="Empty must define"):
            call()
