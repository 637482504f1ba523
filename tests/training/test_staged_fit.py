import dataclasses
import os
import stat

import keras
import numpy as np
import pytest
from keras import layers

import kft
from kft.cache.cut import find_cut
from kft.cache.files import open_features
from kft.cache.key import features_key
from kft.cache.store import FeatureStore
from kft.callbacks import StagedUnfreezing
from kft.data.augment import ImageAugmentation, NextView
from kft.data.batches import Batches
from kft.data.examples import Examples
from kft.data.kinds import SingleLabels
from kft.runs.hidden import hidden_directory
from kft.stages.plan import plan
from kft.training.cached_stages import decide
from kft.training.staged import run_stages
from tests.models import convnet, images, moved, values

STAGES = [
    kft.Stage(0, 3, 1e-2),
    kft.Stage(1, 2, 1e-2, warmup=0.3),
    kft.Stage("all", 1, 1e-3, layer_decay=0.5),
]


def examples(count=48):
    x, y = images(count)
    return Examples("arrays", x, y, ("a", "b", "c"), "arrays", task=SingleLabels())


def compile_model(model, optimizer=None):
    model.compile(
        optimizer or keras.optimizers.Adam(),
        keras.losses.SparseCategoricalCrossentropy(),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )


def fit(tmp_path, cache, model=None, callbacks=(), stages=STAGES, rule=None, optimizer=None, **own):
    model = model or convnet()
    compile_model(model, optimizer)
    store = own.pop("store", None) or FeatureStore(tmp_path / "features")
    data = own.pop("data", None) or examples()
    train = Batches(data, np.asarray, batch_size=8, seed=3, shuffle=True)
    validation = Batches(data.take(np.arange(20)), np.asarray, batch_size=8)
    whole = own.pop("whole", ())
    decided = decide(model, plan(model, stages), store, examples=68, augments=False, cache=cache)
    decided = [
        dataclasses.replace(one, cut=None) if index in whole else one
        for index, one in enumerate(decided)
    ]
    history = run_stages(
        model, train, validation, unfreezing=StagedUnfreezing(stages, rule, verbose=0),
        stages=decided, store=store, compile_like=compile_model, identity="pixels",
        callbacks=callbacks, verbose=0,
    )  # fmt: skip
    return model, history.history


def assert_same(one, other):
    (weights_a, history_a), (weights_b, history_b) = map(outcome, (one, other))
    assert history_a.keys() == history_b.keys()
    for name, column in history_a.items():
        np.testing.assert_allclose(history_b[name], column, rtol=2e-5, atol=1e-6, err_msg=name)
    for path, value in weights_a.items():
        np.testing.assert_allclose(weights_b[path], value, atol=3e-5, err_msg=path)


def outcome(fitted):
    result, history = fitted
    return (result if isinstance(result, dict) else values(result)), history


@pytest.fixture(scope="module")
def uncached(tmp_path_factory):
    """Return weights and history of the stages without a cache."""
    return outcome(fit(tmp_path_factory.mktemp("uncached"), False))


def test_an_uncached_run_equals_one_model_fit(uncached):
    model = convnet()
    compile_model(model)
    train = Batches(examples(), np.asarray, batch_size=8, seed=3, shuffle=True)
    validation = Batches(examples().take(np.arange(20)), np.asarray, batch_size=8)
    history = model.fit(
        train, validation_data=validation, epochs=6, shuffle=False, verbose=0,
        callbacks=[StagedUnfreezing(STAGES, verbose=0)],
    ).history  # fmt: skip
    assert_same((model, history), uncached)


# 48 and 20 examples in batches of 8, of which the last is padded.
def test_a_cached_fit_agrees_and_runs_the_frozen_part_once(tmp_path, uncached, monkeypatch):
    ran = []
    original = keras.Model.predict_on_batch

    def counting(self, x):
        ran.append(len(keras.tree.flatten(x)[0]))
        return original(self, x)

    monkeypatch.setattr(keras.Model, "predict_on_batch", counting)
    cached = fit(tmp_path, True)
    assert_same(uncached, cached)
    assert cached[1]["stage"] == [1, 1, 1, 2, 2, 3]
    assert sum(ran) == 48 + 24, "one pass over train and validation fills the caches of all stages"
    fit(tmp_path, True, stages=STAGES[:1])
    assert sum(ran) == 48 + 24, "a second run finds them"


@pytest.mark.parametrize("whole", [0, 1])
def test_some_stages_may_train_the_whole_model_and_others_on_kept_features(
    tmp_path, uncached, whole
):
    """The end of a stage must not count as the end of the run."""
    assert_same(uncached, fit(tmp_path, True, whole=[whole]))


def test_early_stopping_with_best_weights_agrees(tmp_path):
    rule = keras.callbacks.EarlyStopping("val_loss", patience=0, restore_best_weights=True)
    stages = [dataclasses.replace(stage, epochs=4) for stage in STAGES[:2]]
    assert_same(
        fit(tmp_path, False, stages=stages, rule=rule),
        fit(tmp_path, True, stages=stages, rule=rule),
    )


def test_moving_averages_are_taken_over_at_the_end_alone(tmp_path):
    def optimizer():
        return keras.optimizers.AdamW(use_ema=True, ema_momentum=0.9, global_clipnorm=0.5)

    plain = fit(tmp_path, False, optimizer=optimizer(), stages=STAGES[:2])
    assert_same(plain, fit(tmp_path, True, optimizer=optimizer(), stages=STAGES[:2]))


def test_callbacks_see_the_whole_model_at_every_batch(tmp_path):
    seen = []

    class Look(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.append("begin")

        def on_train_batch_end(self, batch, logs=None):
            seen.append(values(self.model)["c1/kernel"].sum())

        def on_train_end(self, logs=None):
            seen.append("end")

    model = convnet()
    fit(
        tmp_path,
        True,
        model=model,
        callbacks=[
            Look(),
            keras.callbacks.ModelCheckpoint(
                tmp_path / "{epoch}.weights.h5", save_weights_only=True
            ),
            keras.callbacks.CSVLogger(tmp_path / "log.csv"),
            keras.callbacks.ReduceLROnPlateau("val_accuracy", patience=1),
        ],
    )
    assert seen[0] == "begin"
    assert seen[-1] == "end"
    assert seen.count("begin") == seen.count("end") == 1
    assert len(seen) == 2 + 6 * 6
    assert len(set(seen[1:-7])) == 1, "frozen until the last stage"
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 7
    again = convnet(seed=1)
    again.load_weights(tmp_path / "6.weights.h5")
    assert not moved(values(again), values(model))


def test_a_callback_can_stop_the_run_inside_a_cached_stage(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.count = getattr(self, "count", 0) + 1
            if self.count == 8:
                self.model.stop_training = True

    stop = Stop()
    history = fit(tmp_path, True, callbacks=[stop])[1]
    assert stop.count == 8
    assert history["stage"] == [1, 1]


@pytest.mark.parametrize("change", ["pixel", "label", "weight", "identity", "setting", "dtype"])
def test_any_change_below_the_cut_misses(change):
    model, data, identity, dtype = convnet(), examples(), "pixels", "float32"

    def key():
        plan(model, [STAGES[0]])[0].enter(model)
        return features_key(find_cut(model)[0], data, identity, dtype)

    before = key()
    assert key() == before
    if change == "pixel":
        pixels = data.inputs.copy()
        pixels[7, 3, 3, 1] += 1e-6
        data = dataclasses.replace(data, inputs=pixels)
    elif change == "label":
        data = dataclasses.replace(data, targets=data.targets[::-1].copy())
    elif change == "weight":
        model.get_layer("c1").bias.assign(np.full(4, 1e-7, "float32"))
    elif change == "identity":
        identity = "pixels / 255"
    elif change == "setting":
        model = convnet()
        model.get_layer("b1").epsilon = 0.002
    else:
        dtype = "float16"
    assert key() != before


def test_the_head_is_not_part_of_the_key():
    keys = set()
    for classes in (3, 3, 5):
        model = convnet(classes)
        plan(model, [STAGES[0]])[0].enter(model)
        keys.add(features_key(find_cut(model)[0], examples(), "pixels", "float32"))
    assert len(keys) == 1


@pytest.fixture
def kept(tmp_path):
    """Return a function that fetches the same features repeatedly, and their folder."""
    model = convnet()
    plan(model, [STAGES[0]])[0].enter(model)
    cut = find_cut(model)[0]

    def fetch(dtype="float32"):
        with FeatureStore(tmp_path, dtype=dtype) as store:
            batches = Batches(examples(), np.asarray, batch_size=8)
            return store.fetch([cut], batches, "pixels")[0]

    return fetch


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_damaged_features_are_computed_again_with_a_warning(tmp_path, kept, dtype):
    whole = kept(dtype).load(np.arange(48))
    assert not kept(dtype).computed
    (path,) = tmp_path.glob("*/0.npy")
    content = bytearray(path.read_bytes())
    content[-50] ^= 4
    path.write_bytes(content)
    with pytest.warns(
        UserWarning, match=rf"features in {path.parent} cannot be used \(1 of 48 rows"
    ):
        again = kept(dtype)
    assert again.computed
    np.testing.assert_array_equal(again.load(np.arange(48)), whole)
    assert list(tmp_path.iterdir()) == [path.parent]
    assert not kept(dtype).computed


def test_a_full_disk_falls_back_with_a_warning_and_the_same_result(tmp_path, uncached, monkeypatch):
    def full(descriptor, start, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.warns(UserWarning, match=r"could not be written .*No space left.*same result"):
        cached = fit(tmp_path, True)
    assert_same(uncached, cached)
    assert list((tmp_path / "features").iterdir()) == []


def test_features_of_another_user_are_used_where_nothing_can_be_written(
    tmp_path, kept, monkeypatch
):
    kept()
    for name in ("utime", "mkdir", "unlink"):
        monkeypatch.setattr(os, name, refused)
    assert not kept().computed


def refused(*_, **__):
    raise PermissionError(1, "Operation not permitted")


def test_the_longest_unused_features_go_first_and_nothing_else_does(tmp_path):
    store = FeatureStore(tmp_path, limit=0)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"not ours")
    model = convnet()
    for count in (8, 16):
        data = examples(count)
        plan(model, [STAGES[0]])[0].enter(model)
        store.fetch([find_cut(model)[0]], Batches(data, np.asarray, batch_size=8), "pixels")
    kept = {path.name for path in tmp_path.iterdir()} - {"photos"}
    assert len(kept) == 1
    assert (tmp_path / "photos" / "cat.jpg").is_file()
    store.close()


def test_what_is_being_written_counts_to_the_limit(tmp_path, kept):
    kept()
    (other,) = tmp_path.iterdir()
    with hidden_directory(tmp_path, ".writing-") as half:
        (half / "0.npy").write_bytes(bytes(10**6))
        with FeatureStore(tmp_path, limit=10**6) as store:
            data = Batches(examples(8), np.asarray, batch_size=8)
            model = convnet()
            plan(model, [STAGES[0]])[0].enter(model)
            store.fetch([find_cut(model)[0]], data, "pixels")
        assert not other.exists()
        assert (half / "0.npy").is_file()


def test_kept_features_have_the_permissions_that_the_umask_gives(tmp_path, kept):
    before = os.umask(0o002)
    try:
        kept()
    finally:
        os.umask(before)
    (folder,) = tmp_path.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o775
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o664}


def test_half_precision_takes_half_the_space(tmp_path):
    sizes, kept, model = {}, {}, convnet()
    plan(model, [STAGES[0]])[0].enter(model)
    for dtype in ("float32", "float16", "bfloat16"):
        batches = Batches(examples(), np.asarray, batch_size=8)
        for _ in range(2):  # first computed, then read
            store = FeatureStore(tmp_path / dtype, dtype=dtype)
            found = store.fetch([find_cut(model)[0]], batches, "pixels")[0]
            assert found.arrays[0].dtype.name == dtype
        assert not found.computed
        kept[dtype] = found.load(np.arange(48))
        sizes[dtype] = sum(f.stat().st_size for f in (tmp_path / dtype).rglob("*.npy"))
    for dtype, rounding in (("float16", 2**-11), ("bfloat16", 2**-8)):
        assert sizes[dtype] < 0.6 * sizes["float32"]
        np.testing.assert_allclose(kept[dtype], kept["float32"], rtol=rounding, atol=1e-6)
        assert (kept[dtype] != kept["float32"]).any()


def test_views_are_what_the_augmentation_makes_of_the_examples(tmp_path):
    model, store = convnet(), FeatureStore(tmp_path)
    plan(model, [STAGES[0]])[0].enter(model)
    cut = find_cut(model)[0]
    flip = ImageAugmentation([layers.RandomFlip("horizontal", data_format="channels_last")])
    batches = Batches(examples(20), np.asarray, batch_size=8, seed=5, augment=flip)
    kept = store.fetch([cut], batches, "pixels", views=3)[0]
    assert len(kept.arrays[0]) == 60
    x, y = images(20)
    for view, epoch in ((0, 3), (1, 4), (2, 2)):
        rows, _ = NextView(20, 3)(np.array([9, 12]), y, seed=(0, epoch - 9, 0))
        assert rows.tolist() == [9 + 20 * (epoch % 3), 12 + 20 * (epoch % 3)]
        flipped, _ = flip(x[8:16], y[8:16], seed=(5, view, 1))
        expected = keras.tree.flatten(cut.prefix.predict_on_batch(flipped))[0][[1, 4]]
        np.testing.assert_allclose(kept.load(rows), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_model_in_mixed_precision_has_its_features_kept(tmp_path, dtype):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(f"mixed_{dtype}")
    try:
        model = convnet()
    finally:
        keras.config.set_dtype_policy(before)
    _, history = fit(tmp_path, True, model, stages=STAGES[:2])
    assert history["loss"][-1] < history["loss"][0]
    (kept,) = {open_features(path)[0].dtype.name for path in (tmp_path / "features").iterdir()}
    assert kept == dtype


def reason(model, stage, **options):
    settings = {"examples": 100, "augments": False, "cache": True} | options
    return decide(model, plan(model, [stage]), FeatureStore("nowhere"), **settings)[0]


def test_it_turns_itself_off_where_it_would_change_results():
    inputs = keras.Input((8, 8, 3))
    x = layers.RandomFlip(name="flip")(inputs)
    x = layers.Conv2D(4, 3, name="conv")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(x))
    assert (
        reason(model, kft.Stage(0, 2, 0.1)).reason
        == "not kept, since flip draws random numbers there"
    )
    assert "augmentation" in reason(convnet(), STAGES[0], augments=True).reason
    assert "from the first layer" in reason(convnet(), STAGES[2]).reason
    assert reason(convnet(), STAGES[0], cache=False).reason == "not kept, since cache=False"


def test_dropout_moves_the_cut_below_itself():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    x = layers.Dropout(0.5, name="drop")(x)
    x = layers.Conv2D(4, 3, name="conv2")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(x))
    found = reason(model, kft.Stage(0, 2, 0.1))
    assert [layer.name for layer in found.cut.layers] == ["conv"]
    unpaid = reason(model, kft.Stage(0, 1, 0.1), cache="auto").reason
    assert unpaid.startswith(
        "not kept, since drop draws random numbers there, and keeping what lies below it would not"
    )
    trained = reason(model, kft.Stage(["conv2"], 1, 0.1), cache="auto").reason
    assert trained.startswith(
        "not kept, since keeping them would not pay"
    )  # it would not without the dropout either


def test_auto_keeps_what_pays():
    assert reason(convnet(), dataclasses.replace(STAGES[0], epochs=1), cache="auto").cut is None
    base = keras.applications.MobileNetV2(
        weights=None, include_top=False, pooling="avg", alpha=0.35, input_shape=(96, 96, 3)
    )
    model = keras.Model(base.input, layers.Dense(3, activation="softmax")(base.output))
    found = reason(model, STAGES[0], cache="auto")
    assert found.reason.startswith("kept: ")
    assert found.cut.numbers() == (1280,)


@pytest.mark.once
def test_a_run_that_goes_on_decides_as_it_did_when_it_began():
    """The free space on the disk and the measured costs may have changed since."""
    settings = {"cache": "auto"}
    model, stage = convnet(), dataclasses.replace(STAGES[0], epochs=1)
    assert reason(model, stage, **settings).cut is None
    assert reason(model, stage, before=[True], **settings).cut is not None
    assert reason(model, STAGES[0], before=[False]).cut is None


def test_several_cut_tensors_and_skip_connections_agree(tmp_path):
    def model():
        keras.utils.set_random_seed(0)
        inputs = keras.Input((16, 16, 3))
        low = layers.Conv2D(3, 3, padding="same", name="low")(inputs)
        high = layers.Conv2D(3, 3, padding="same", name="high")(layers.ReLU()(low))
        x = layers.Conv2D(3, 1, name="top")(layers.Concatenate()([high, low, inputs]))
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(x))

    stages = [kft.Stage(["top"], 2, 1e-2), kft.Stage(["top", "high"], 2, 1e-2)]
    assert_same(
        fit(tmp_path, False, model=model(), stages=stages),
        fit(tmp_path, True, model=model(), stages=stages),
    )


def test_a_later_stage_sees_what_an_earlier_one_trained_below_it(tmp_path):
    stages = [kft.Stage("all", 1, 1e-2), kft.Stage(0, 2, 1e-2)]
    cached = fit(tmp_path, True, stages=stages)
    assert_same(fit(tmp_path, False, stages=stages), cached)
    model = convnet()
    reasons = decide(
        model, plan(model, stages), FeatureStore(tmp_path), examples=9, augments=False, cache=True
    )
    assert [one.cut is None for one in reasons] == [True, True]


def test_a_model_of_ones_own_is_fitted_with_frozen_work_done_once(tmp_path, uncached, monkeypatch):
    ran = []
    original = keras.Model.predict_on_batch
    monkeypatch.setattr(
        keras.Model, "predict_on_batch", lambda self, x: ran.append(len(x)) or original(self, x)
    )
    model = convnet()
    compile_model(model)
    x, y = images(48)
    history = kft.fit_in_stages(
        model, x, y, stages=STAGES, validation_data=(x[:20], y[:20]), batch_size=8, seed=3,
        cache=kft.Cache(True, directory=tmp_path), verbose=0,
    )  # fmt: skip
    assert_same((model, history.history), uncached)
    assert sum(ran) == 48 + 24


def test_outputs_of_any_length_are_trained_on_kept_features():
    """Labels are per step of a sequence, so that the output shape does not tell the metrics' inputs."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(24, 5, 3)).astype("float32")
    y = (x.sum(axis=-1) > 0).astype("int64")
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, 3))
    steps = keras.layers.Dense(8, activation="relu", name="body")(inputs)
    scores = keras.layers.Dense(2, activation="softmax", name="new")(steps)
    model = keras.Model(inputs, scores)
    compile_model(model)
    stages = [kft.Stage(0, 4, 0.05)]
    history = kft.fit_in_stages(
        model, x, y, stages=stages, validation_data=(x, y), cache=True, verbose=0
    )
    assert history.history["val_accuracy"][-1] > history.history["val_accuracy"][0]


def test_arguments_of_a_fit_of_ones_own_are_checked():
    x, y = images(8)
    with pytest.raises(kft.InputError, match="not compiled"):
        kft.fit_in_stages(convnet(), x, y, stages=STAGES)
    model = convnet()
    compile_model(model)
    with pytest.raises(kft.InputError, match="8 inputs and 7 targets"):
        kft.fit_in_stages(model, x, y[1:], stages=STAGES)
    with pytest.raises(kft.InputError, match="`cache='yes'`"):
        kft.fit_in_stages(model, x, y, stages=STAGES, cache="yes")
