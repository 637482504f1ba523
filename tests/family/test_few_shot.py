"""The contrastive warm start before the stages, on a few texts of each class."""

import keras
import numpy as np
import pytest

import kft
from kft.errors import InputError
from kft.family import warm_start
from kft.family.features import head_inputs
from kft.tasks import Classification, MultiLabel, Regression
from kft.training import contrastive
from kft.training.contrastive import STEPS, ContrastiveBatches, SupervisedContrastive
from recipes import BertRecipe
from tests.recipes import tiny_bert

KINDS = ["good film", "bad plot", "great actor", "awful café"]
FILLED = ["{}", "the {}", "a {} !", "{} is very", "not {} .", "very {} !", "the {} was", "is a {}"]
X = [form.format(kind) for form in FILLED for kind in KINDS]
Y = [kind.split()[0] for _ in FILLED for kind in KINDS]
SOLVED = kft.Stage(unfreeze=0, solve=True)


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    return tiny_bert.save_preset(tmp_path_factory.mktemp("bert") / "preset")


def recipe_of(preset, **arguments):
    return BertRecipe(preset, num_classes=4, **arguments)


def fit(recipe, **settings):
    settings = {"stages": [SOLVED], "verbose": 0, "finish": kft.Finish(report=False), **settings}
    return recipe.fit((X, Y), **settings)


def nearness(recipe, examples):
    """Return the mean cosine of texts of the same class, and of different classes."""
    features, classes = head_inputs(recipe, examples)
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    cosines, same = features @ features.T, classes[:, None] == classes[None, :]
    return cosines[same].mean(), cosines[~same].mean()


def test_texts_of_one_class_come_to_point_in_one_direction(preset, monkeypatch):
    monkeypatch.setattr(contrastive, "_RATE", 5e-3)  # a tiny model needs larger steps
    apart = {}
    for few_shot in (None, "contrastive"):
        recipe = recipe_of(preset, few_shot=few_shot)
        run = fit(recipe)
        near, far = nearness(recipe, run.training)
        apart[few_shot] = near - far
        assert ("warm_start" in run.journal) == (few_shot == "contrastive")
    assert apart["contrastive"] > 5 * apart[None]


@pytest.mark.once
def test_the_flags_and_the_stages_are_those_of_any_fit(preset):
    weights = {}
    for few_shot in (None, "contrastive"):
        recipe = recipe_of(preset, few_shot=few_shot)
        before = [weight.trainable for weight in recipe.model.weights]
        run = fit(recipe, stages=[kft.Stage(0, 1, 1e-3)])
        weights[few_shot] = recipe.model.get_weights()
        assert run.history["stage"] == [1]
    assert [weight.trainable for weight in recipe_of(preset).model.weights] == before
    moved = [
        not np.array_equal(one, other)
        for one, other in zip(weights[None], weights["contrastive"], strict=True)
    ]
    assert sum(moved) > len(moved) / 2


class Killed(keras.callbacks.Callback):
    def __init__(self, at):
        super().__init__()
        self.at = at

    def on_train_batch_end(self, batch, logs=None):
        if batch == self.at:
            raise KeyboardInterrupt


class Ended(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def assert_equal(one, other):
    for left, right in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def killed_in(monkeypatch, **arguments):
    """Kill a fit in the steps of its warm start."""
    drawn = warm_start.train_contrastively

    def killed(*most):
        return drawn(*most[:-1], [Killed(12), *most[-1]])

    with monkeypatch.context() as patch:
        patch.setattr(warm_start, "train_contrastively", killed)
        with pytest.raises(KeyboardInterrupt):
            fit(**arguments)


def test_a_run_killed_in_its_warm_start_ends_as_an_undisturbed_one(preset, tmp_path, monkeypatch):
    whole, again = (recipe_of(preset, few_shot="contrastive") for _ in range(2))
    settings = {"resume": kft.Resume(every=5)}
    fit(whole, **settings)
    killed_in(monkeypatch, recipe=again, run_dir=tmp_path / "run", **settings)
    steps = count_steps(monkeypatch)
    fit(again, run_dir=tmp_path / "run", **settings)
    assert_equal(whole, again)
    assert not (tmp_path / "run" / "warm_start").exists()
    assert STEPS - 12 <= len(steps) <= STEPS


def count_steps(monkeypatch):
    """Count the steps of all warm starts from now on."""
    steps, drawn = [], warm_start.train_contrastively
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: steps.append(batch)
    )

    def counted(*most):
        return drawn(*most[:-1], [count, *most[-1]])

    monkeypatch.setattr(warm_start, "train_contrastively", counted)
    return steps


@pytest.mark.once
def test_a_run_killed_after_its_warm_start_does_not_repeat_it(preset, tmp_path, monkeypatch):
    whole, again = (recipe_of(preset, few_shot="contrastive") for _ in range(2))
    settings = {
        "stages": [SOLVED, kft.Stage("all", 2, 1e-3)],
        "resume": kft.Resume(every=5),
        "finish": kft.Finish(report=False, refit=True),
    }
    fit(whole, **settings)
    with pytest.raises(KeyboardInterrupt):
        fit(again, run_dir=tmp_path / "run", callbacks=[Ended()], **settings)
    steps = count_steps(monkeypatch)
    fit(again, run_dir=tmp_path / "run", **settings)
    assert len(steps) == STEPS  # only those of the warm start of the refit
    assert_equal(whole, again)


@pytest.mark.once
def test_an_interrupted_warm_start_leaves_the_recipe_as_it_was(preset, monkeypatch):
    recipe = recipe_of(preset, few_shot="contrastive")
    before = recipe.model.get_weights()
    drawn = warm_start.train_contrastively
    monkeypatch.setattr(
        warm_start, "train_contrastively", lambda *most: drawn(*most[:-1], [*most[-1], Killed(3)])
    )
    with pytest.raises(KeyboardInterrupt):
        fit(recipe)
    for one, other in zip(before, recipe.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.once
def test_an_adapter_is_warmed_and_its_kernels_stay(preset):
    recipe = recipe_of(preset, few_shot="contrastive", adapters=kft.LoRA(rank=2))
    kernels = [
        one for one in recipe.model.weights if one.path.endswith("kernel") and not one.trainable
    ]
    assert kernels
    before = [keras.ops.convert_to_numpy(one).copy() for one in kernels]
    fit(recipe)
    for one, old in zip(kernels, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(one), old)


@pytest.mark.once
def test_the_loss_is_that_of_the_paper():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(6, 5)).astype("float32")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    classes = np.array([0, 1, 0, 2, 1, 0])
    expected = []
    for i in range(6):
        others = [j for j in range(6) if j != i]
        positive = [j for j in others if classes[j] == classes[i]]
        below = sum(np.exp(vectors[i] @ vectors[j] / 0.1) for j in others)
        terms = [-np.log(np.exp(vectors[i] @ vectors[j] / 0.1) / below) for j in positive]
        expected.append(np.mean(terms) if terms else 0.0)
    found = SupervisedContrastive()(classes, vectors)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), np.mean(expected), rtol=1e-4)


@pytest.mark.once
@pytest.mark.parametrize("counts", [[5] * 6, [1, 2, 7], [6] * 77, [40, 3, 3]])
def test_a_batch_has_as_many_examples_of_each_class(counts):
    classes = np.repeat(np.arange(len(counts)), counts)
    batches = ContrastiveBatches({"row": np.arange(len(classes))}, classes, seed=3)
    sizes, seen = set(), set()
    for index in range(len(batches)):
        x, y = batches[index]
        np.testing.assert_array_equal(classes[x["row"]], y)
        found = np.bincount(y)
        assert len(set(found[found > 0])) == 1
        assert found.max() >= 2
        sizes.add(len(y))
        seen |= set(x["row"].tolist())
    assert len(sizes) == 1
    assert sizes.pop() <= 64
    assert len(seen) >= 0.9 * len(classes)
    np.testing.assert_array_equal(batches[7][1], batches[7][1])
    assert not np.array_equal(batches[7][0]["row"], batches[8][0]["row"])


@pytest.mark.once
@pytest.mark.parametrize(
    ("each", "kinds", "arguments", "begins"),
    [
        (5, 4, {}, True),
        (1, 4, {}, False),
        (7, 4, {}, False),
        (5, 2, {}, False),
        (5, 4, {"few_shot": None}, False),
        (5, 4, {"adapters": kft.LoRA(rank=2)}, False),
        (40, 2, {"few_shot": "contrastive"}, True),
    ],
)
def test_what_is_known_to_help_is_the_default(preset, each, kinds, arguments, begins):
    recipe = BertRecipe(preset, num_classes=kinds, **arguments)
    train = recipe.read((KINDS[:kinds] * each, KINDS[:kinds] * each))
    assert (recipe.few_shot_rule(train, default_stages=True) is not None) == begins
    by_hand = recipe.few_shot_rule(train, default_stages=False)
    assert (by_hand is not None) == (recipe.few_shot == "contrastive")


@pytest.mark.once
def test_what_has_no_classes_to_contrast_is_refused_before_any_work(preset):
    many = BertRecipe(preset, task=MultiLabel(2), few_shot="contrastive")
    with pytest.raises(InputError, match=r"one label for each text.*'multi_label': leave it out"):
        many.fit((X, [["a"], ["b"]] * (len(X) // 2)), stages=[SOLVED])
    number = BertRecipe(preset, task=Regression(), few_shot="contrastive")
    with pytest.raises(InputError, match="one label for each text"):
        number.fit((X, np.arange(len(X)) / 3), stages=[SOLVED])
    with pytest.raises(InputError, match="`few_shot='triplets'`"):
        BertRecipe(preset, task=Classification(2), few_shot="triplets")


@pytest.mark.once
def test_the_plan_and_the_page_say_that_it_came_first(preset, tmp_path, capsys):
    run = recipe_of(preset).fit((X, Y), run_dir=tmp_path / "run", verbose=2)
    assert (
        "contrastive warm start precedes the stages (few_shot='contrastive'): about"
        in capsys.readouterr().out
    )
    assert run.journal["warm_start"]["steps"] == STEPS
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "supervised contrastive learning, in 30 steps" in page
    assert kft.load(tmp_path / "run").few_shot == "auto"


@pytest.mark.once
def test_gradients_in_sixteen_bits_are_scaled(preset, monkeypatch):
    recipe = recipe_of(preset, few_shot="contrastive", precision="mixed_float16")
    compiled = []

    def noted(body, batches, optimizer, callbacks):
        body.compile(optimizer, loss=SupervisedContrastive())
        compiled.append(body.optimizer)

    monkeypatch.setattr(warm_start, "train_contrastively", noted)
    fit(recipe)
    assert isinstance(compiled[0], keras.optimizers.LossScaleOptimizer)


@pytest.mark.once
@pytest.mark.parametrize("few_shot", [None, "contrastive"])
def test_surer_scores_are_expected_after_a_warm_start(preset, monkeypatch, few_shot):
    asked = []

    def noted(self, model, outputs, targets, usual=1.0):
        asked.append(usual)
        return {"predictions": usual}

    monkeypatch.setattr(Classification, "temperatures", noted)
    fit(recipe_of(preset, few_shot=few_shot), finish=kft.Finish(calibrate=True, report=False))
    assert asked == [0.5 if few_shot else 1.0]
