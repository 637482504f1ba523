"""Interpolation between the weights at the beginning and at the end of the last stage."""

import keras
import numpy as np
import pytest

import kft
from kft.training import interpolation
from tests.family.test_fit_settings import settings_of
from tests.family.test_solving import pictures, recipe_of

# These train to overconfidence, which noisy validation labels punish: half of the way is better.
SURE = [kft.Stage(0, epochs=1, learning_rate=1e-6), kft.Stage(0, epochs=10, learning_rate=1.0)]
DEEP = [SURE[0], kft.Stage("all", epochs=8, learning_rate=1e-2)]
TRIED = kft.BestEpoch("ends", interpolate=True, tolerance=1e6)


class Ends(keras.callbacks.Callback):
    """Keep the weights at the beginning of the second stage and at the end of each epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            self.first = self.model.get_weights()

    def on_epoch_end(self, epoch, logs=None):
        self.last = self.model.get_weights()


def noisy():
    """Return images of which four in ten have a wrong label."""
    x, kinds, _ = pictures(60, seed=1)
    return x, np.where(np.arange(60) % 10 < 4, (kinds + 1) % 3, kinds)


def fit(recipe=None, stages=SURE, validation=None, **settings):
    recipe = recipe or recipe_of(kft.tasks.Classification(3))
    defaults = {"restore_best": TRIED, "early_stopping": None, "finish": kft.Finish(report=False)}
    settings = {**defaults, "verbose": 0, **settings}
    return recipe.fit(pictures()[:2], validation or noisy(), stages=stages, **settings)


def loss_of(recipe, run, weights):
    recipe.model.set_weights(weights)
    batches = recipe.batches(run.validation, batch_size=32)
    return recipe.model.evaluate(batches, verbose=0, return_dict=True)["loss"]


def between(first, last, share):
    return [a + share * (b - a) for a, b in zip(first, last, strict=True)]


@pytest.mark.parametrize("stages", [SURE, DEEP], ids=["kept features", "all"])
def test_the_best_point_on_the_line_remains(stages):
    ends, recipe = Ends(), recipe_of(kft.tasks.Classification(3))
    run = fit(recipe, stages, callbacks=[ends])
    kept = recipe.model.get_weights()
    points = {s: between(ends.first, ends.last, s) for s in (1.0, *interpolation.SHARES)}
    losses = {share: loss_of(recipe, run, weights) for share, weights in points.items()}
    best = min(losses, key=losses.get)
    assert best < 1  # otherwise the test would prove nothing
    assert run.journal["best"]["share"] == best
    assert run.journal["best"]["value"] == pytest.approx(losses[best], rel=1e-4)
    for one, other in zip(kept, points[best], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_where_no_point_is_better_the_end_remains():
    ends, recipe = Ends(), recipe_of(kft.tasks.Classification(3))
    short = [SURE[0], kft.Stage(0, epochs=5, learning_rate=0.05)]
    run = fit(recipe, short, pictures(seed=1)[:2], callbacks=[ends])
    assert "share" not in run.journal["best"]
    for one, other in zip(recipe.model.get_weights(), ends.last, strict=True):
        np.testing.assert_array_equal(one, other)


class Killed(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 3:
            raise KeyboardInterrupt


FIXED = kft.BestEpoch("ends", interpolate=0.25, tolerance=1e6)


@pytest.mark.parametrize("best", [TRIED, FIXED], ids=["searched", "fixed"])
def test_a_run_that_resumes_in_the_last_stage_goes_the_same_line(tmp_path, best):
    whole, resumed = recipe_of(kft.tasks.Classification(3)), recipe_of(kft.tasks.Classification(3))
    settings = {"resume": kft.Resume(every=1), "restore_best": best}
    fit(whole, run_dir=tmp_path / "whole", **settings)
    with pytest.raises(KeyboardInterrupt):
        fit(resumed, run_dir=tmp_path / "run", callbacks=[Killed()], **settings)
    run = fit(resumed, run_dir=tmp_path / "run", **settings)  # same recipe, as in a notebook
    assert "share" in run.journal["best"]
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def end_of(stages=SURE, share=0.5, validation=None, **settings):
    """Return the recipe, the run and the weights at the ends of the line of a fit that stops at a share."""
    ends, recipe = Ends(), recipe_of(kft.tasks.Classification(3))
    best = kft.BestEpoch("ends", interpolate=share, **settings)
    run = fit(recipe, stages, validation, restore_best=best, callbacks=[ends])
    return recipe, run, ends


@pytest.mark.parametrize("stages", [SURE, DEEP], ids=["kept features", "all"])
def test_the_last_stage_stops_where_it_is_told_to(stages):
    recipe, run, ends = end_of(stages, 0.25, tolerance=1e6)
    kept, best = recipe.model.get_weights(), run.journal["best"]
    point = between(ends.first, ends.last, 0.25)
    for one, other in zip(kept, point, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert best["share"] == best["last_share"] == 0.25
    assert best["value"] == pytest.approx(loss_of(recipe, run, point), rel=1e-4)


def test_that_point_and_not_the_end_is_compared_with_the_stages_before():
    # At first the loss is that of equal scores, 1.10; at the end it is far higher, halfway higher by less.
    wrong = noisy()[0], (noisy()[1] + 1) % 3
    recipe, run, ends = end_of(DEEP, validation=wrong)
    assert run.journal["best"]["stage"] == 1
    assert "share" not in run.journal["best"]
    for one, other in zip(recipe.model.get_weights(), ends.first, strict=True):
        np.testing.assert_array_equal(one, other)
    first = run.history["val_loss"][0]
    halfway = loss_of(recipe, run, between(ends.first, ends.last, 0.5)) / first - 1
    end = run.history["val_loss"][-1] / first - 1
    assert 0 < halfway < 0.9 * end  # otherwise the test would prove nothing
    between_both = (halfway + end) / 2
    assert end_of(DEEP, validation=wrong, tolerance=between_both)[1].journal["best"]["share"] == 0.5
    assert end_of(DEEP, validation=wrong, tolerance=0.9 * halfway)[1].journal["best"]["stage"] == 1


def test_the_end_of_the_way_is_no_rival_of_that_point():
    _, run, _ = end_of(DEEP, validation=pictures(seed=1)[:2])
    losses, best = run.history["val_loss"], run.journal["best"]
    assert losses[-1] < best["value"] < losses[0]  # otherwise the test would prove nothing
    assert best["share"] == 0.5


def test_without_a_comparison_the_run_ends_there_too():
    ends, recipe = Ends(), recipe_of(kft.tasks.Classification(3))
    fit(recipe, restore_best=kft.BestEpoch(None, interpolate=0.5), callbacks=[ends])
    for one, other in zip(
        recipe.model.get_weights(), between(ends.first, ends.last, 0.5), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_the_best_epoch_of_the_last_stage_is_the_end_of_the_line():
    class Each(Ends):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            self.all = [*getattr(self, "all", []), self.last]

    ends, recipe = Each(), recipe_of(kft.tasks.Classification(3))
    best = kft.BestEpoch("stage", interpolate=0.5)
    run = fit(recipe, DEEP, restore_best=best, callbacks=[ends])
    kept, losses = recipe.model.get_weights(), run.history["val_loss"][1:]
    end = ends.all[1 + losses.index(min(losses))]
    point = between(ends.first, end, 0.5)
    assert end is not ends.last  # otherwise the test would prove nothing
    assert run.journal["best"]["epoch"] == 2 + losses.index(min(losses))
    for one, other in zip(kept, point, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("best", [TRIED, FIXED], ids=["searched", "fixed"])
def test_what_is_printed_and_on_the_page_says_where_the_weights_are(best, capsys, tmp_path):
    run = fit(restore_best=best, verbose=2)
    share = run.journal["best"]["share"]
    assert (
        f"keeps the weights {share:.0%} of the way from the start of stage 2"
        in capsys.readouterr().out
    )
    assert (
        f"The weights are {share:.0%} of the way from the start of stage 2"
        in run.report(tmp_path / "page.html").read_text()
    )


@pytest.mark.once
def test_training_on_everything_goes_as_far(monkeypatch):
    shares = []
    made = interpolation.Interpolation.__init__

    def noting(self, model, unfreezing, share=None):
        shares.append(share)
        made(self, model, unfreezing, share)

    monkeypatch.setattr(interpolation.Interpolation, "__init__", noting)
    run = fit(finish=kft.Finish(refit=True, report=False))
    fit(finish=kft.Finish(refit=True, report=False), restore_best=FIXED)
    assert shares == [None, run.journal["best"]["share"], 0.25, 0.25]


@pytest.mark.once
def test_it_is_tried_only_where_asked():
    assert not settings_of(stages=SURE).interpolate
    assert settings_of(restore_best=TRIED).interpolate is True
    assert settings_of(stages=SURE, restore_best=TRIED).interpolate is True
    assert settings_of(restore_best=kft.BestEpoch(interpolate=np.float32(0.5))).interpolate == 0.5


@pytest.mark.once
def test_nothing_to_compare_by_is_refused():
    with pytest.raises(kft.errors.InputError, match="interpolate=True"):
        kft.BestEpoch(None, interpolate=True)
    with pytest.raises(kft.errors.InputError, match="monitor='loss'"):
        kft.BestEpoch(monitor="loss", interpolate=0.5)
    stopping = keras.callbacks.EarlyStopping("loss")
    with pytest.raises(kft.errors.InputError, match="monitor='loss'"):
        settings_of(
            stages=SURE, early_stopping=stopping, restore_best=kft.BestEpoch(interpolate=0.5)
        )
    settings_of(stages=SURE, early_stopping=stopping)


@pytest.mark.once
@pytest.mark.parametrize("value", [0, 1, 0.0, 1.0, -0.5, 2, float("nan"), "half", None])
def test_what_is_no_part_of_the_way_is_refused(value):
    with pytest.raises(kft.errors.InputError, match="between 0 and 1"):
        kft.BestEpoch(interpolate=value)
