import copy

import keras
import numpy as np
import pytest
from keras import ops

import kft
from kft.errors import InputError
from kft.stages.optimizer import GroupedOptimizer, norms_and_biases, unscaled
from tests.models import convnet, images, moved, values

STAGES = [
    kft.Stage(0, 1, 1e-2),
    kft.Stage(1, 2, 1e-2, warmup=0.5),
    kft.Stage("all", 1, 1e-3, layer_decay=0.5),
]
BACKEND = keras.backend.backend()


class Spy(keras.callbacks.Callback):
    """Record the weights at the end of each epoch."""

    def on_train_begin(self, logs=None):
        self.seen = [values(self.model)]

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(values(self.model))


def fit(model, stages=STAGES, callbacks=(), epochs=None, optimizer=None, compiled=None, **options):
    staged = kft.callbacks.StagedUnfreezing(stages, verbose=0, **options)
    model.compile(
        optimizer or keras.optimizers.Adam(),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        **(compiled or {}),
    )
    x, y = images()
    epochs = epochs or sum(stage.epochs for stage in stages)
    return model.fit(
        x, y, epochs=epochs, batch_size=8, verbose=0, callbacks=[staged, *callbacks],
        validation_data=(x[:16], y[:16]), shuffle=False,
    )  # fmt: skip


HEAD = {"head/kernel", "head/bias"}
TOP = HEAD | {"c3/kernel", "c3/bias"}
ALL = TOP | {"c2/kernel", "c2/bias", "c1/kernel", "c1/bias"}
NORMS = {
    f"{name}/{weight}"
    for name in ("b1", "b2")
    for weight in ("gamma", "beta", "moving_mean", "moving_variance")
}


def test_each_stage_trains_exactly_what_it_names():
    spy = Spy()
    history = fit(convnet(), callbacks=[spy]).history
    steps = [moved(a, b) for a, b in zip(spy.seen, spy.seen[1:], strict=False)]
    assert steps == [HEAD, TOP, TOP, ALL]
    assert history["stage"] == [1, 2, 2, 3]
    np.testing.assert_allclose(history["learning_rate"], [1e-2, 1e-2, 1e-2, 1e-3], rtol=1e-6)
    assert len(history["val_loss"]) == 4


def test_batch_norm_trains_with_its_block_when_asked():
    spy = Spy()
    fit(convnet(), callbacks=[spy], batch_norm="train")
    assert moved(spy.seen[0], spy.seen[3]) == TOP
    assert moved(spy.seen[3], spy.seen[4]) == ALL | NORMS


def test_it_learns():
    model = convnet()
    stages = [kft.Stage(0, 3, 3e-2), kft.Stage("all", 8, 2e-2, warmup=0.1)]
    history = fit(model, stages).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]


def test_optimizer_state_and_step_count_carry_over_and_new_groups_start_afresh():
    states = []

    class Look(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            grouped = self.model.optimizer
            states.append([[np.array(v) for v in map(ops.convert_to_numpy, o.variables)]
                           for o in grouped.group_optimizers])  # fmt: skip

        def on_epoch_end(self, epoch, logs=None):
            self.on_epoch_begin(epoch)

    fit(convnet(), callbacks=[Look()])
    begin, end = states[0::2], states[1::2]
    for before, after in zip(end[0][0], begin[1][0], strict=True):
        np.testing.assert_array_equal(before, after)
    assert [int(group[0]) for group in begin[1]] == [6, 0]
    assert [int(group[0]) for group in end[3]] == [24, 18, 6, 6]
    assert all(not np.any(slot) for slot in begin[1][1][1:])


def test_a_new_group_takes_first_steps_no_larger_than_adam_alone_would():
    """With the old step count, Adam's bias correction would make them several times larger."""
    model, spy = convnet(), Spy()
    fit(model, [kft.Stage(0, 4, 1e-2), kft.Stage(1, 1, 1e-3)], callbacks=[spy])
    step = np.abs(spy.seen[5]["c3/kernel"] - spy.seen[4]["c3/kernel"]).max()
    assert step <= 6 * 1e-3 * 1.01, "6 steps of at most the rate each"


def test_early_stopping_ends_the_stage_and_only_the_last_ends_the_run():
    rule = keras.callbacks.EarlyStopping("loss", patience=1, min_delta=100.0)
    stages = [kft.Stage(0, 9, 1e-3), kft.Stage(1, 9, 1e-3), kft.Stage("all", 9, 1e-3)]
    history = fit(convnet(), stages, early_stopping=rule).history
    assert history["stage"] == [1, 1, 2, 2, 3, 3]
    assert rule.model is None, "the rule given is a pattern, never used itself"


def test_an_epoch_of_a_later_stage_starts_in_that_stage():
    model, spy = convnet(), Spy()
    model.compile("adam", "sparse_categorical_crossentropy")
    staged = kft.callbacks.StagedUnfreezing(STAGES, verbose=0)
    x, y = images()
    history = model.fit(
        x, y, epochs=4, initial_epoch=1, verbose=0, callbacks=[staged, spy], batch_size=8
    )
    assert history.history["stage"] == [2, 2, 3]
    assert moved(spy.seen[0], spy.seen[1]) == TOP
    with pytest.raises(InputError, match=r"initial_epoch=7.*end after 4"):
        model.fit(x, y, epochs=9, initial_epoch=7, verbose=0, callbacks=[staged])


def test_a_run_that_is_shorter_than_its_stages_is_told():
    with pytest.warns(UserWarning, match=r"fit\(epochs=2\).*up to 4 epochs.*epochs=4"):
        fit(convnet(), epochs=2)


def test_the_run_ends_with_its_stages():
    assert fit(convnet(), epochs=50).history["stage"] == [1, 2, 2, 3]


def test_a_callback_serves_one_fit_after_another_and_survives_a_deep_copy():
    staged = kft.callbacks.StagedUnfreezing(STAGES, verbose=0)
    x, y = images()
    for callback in (staged, staged, copy.deepcopy(staged)):
        model, spy = convnet(), Spy()
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(x, y, epochs=4, batch_size=8, verbose=0, callbacks=[callback, spy])
        assert moved(spy.seen[0], spy.seen[1]) == HEAD
        assert moved(spy.seen[3], spy.seen[4]) == ALL


def test_keras_callbacks_work_beside_it(tmp_path):
    fit(
        convnet(),
        callbacks=[
            keras.callbacks.CSVLogger(tmp_path / "log.csv"),
            keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", save_best_only=True),
            keras.callbacks.ModelCheckpoint(
                tmp_path / "{epoch}.weights.h5", save_weights_only=True
            ),
            keras.callbacks.TensorBoard(tmp_path / "board"),
            keras.callbacks.TerminateOnNaN(),
        ],
    )
    header, *rows = (tmp_path / "log.csv").read_text().splitlines()
    assert {"stage", "learning_rate", "val_accuracy"} <= set(header.split(","))
    assert len(rows) == 4
    assert (tmp_path / "4.weights.h5").exists()
    keras.saving.load_model(tmp_path / "best.keras", compile=False)


def test_reduce_on_plateau_lowers_the_rates_of_all_groups_until_the_next_stage():
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100.0)
    stages = [kft.Stage(1, 4, 1e-2, layer_decay=0.1), kft.Stage("all", 1, 1e-3)]
    rates = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            groups = self.model.optimizer.group_optimizers
            rates.append([float(ops.convert_to_numpy(o.learning_rate)) for o in groups])

    fit(convnet(), stages, callbacks=[Look(), plateau])
    np.testing.assert_allclose(rates[2], [5e-3, 5e-4], rtol=1e-5)
    np.testing.assert_allclose(rates[3], [2.5e-3, 2.5e-4], rtol=1e-5)
    np.testing.assert_allclose(rates[4][0], 1e-3, rtol=1e-5)


def test_clipping_by_global_norm_sees_all_groups_together():
    plain, grouped = convnet(), convnet()
    x, y = images()
    sgd = {"learning_rate": 0.1, "global_clipnorm": 0.01}
    for layer in plain.layers:
        layer.trainable = not layer.name.startswith("b")
    plain.compile(keras.optimizers.SGD(**sgd), "sparse_categorical_crossentropy")
    plain.fit(x, y, epochs=1, batch_size=16, shuffle=False, verbose=0)
    grouped.compile(keras.optimizers.SGD(**sgd), "sparse_categorical_crossentropy")
    staged = kft.callbacks.StagedUnfreezing([kft.Stage("all", 1, 0.1)], verbose=0)
    grouped.fit(x, y, epochs=1, batch_size=16, shuffle=False, verbose=0, callbacks=[staged])
    assert len(grouped.optimizer.group_optimizers) == 4
    for path, value in values(plain).items():
        np.testing.assert_allclose(values(grouped)[path], value, atol=1e-6, err_msg=path)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("kind", ["Adam", "SGD", "RMSprop"])
def test_one_group_equals_the_optimizer_alone(kind, jit):
    if BACKEND == "torch" and jit:
        jit = "auto"  # PyTorch's compiler takes minutes on a CPU
    results = []
    for staged in (False, True):
        model = convnet()
        x, y = images()
        for layer in model.layers:
            layer.trainable = layer.name == "head"
        optimizer = getattr(keras.optimizers, kind)(0.01)
        model.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=jit)
        callbacks = []
        if staged:
            callbacks = [kft.callbacks.StagedUnfreezing([kft.Stage(0, 2, 0.01)], verbose=0)]
        model.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0, callbacks=callbacks)
        results.append(values(model))
    for path, value in results[0].items():
        np.testing.assert_allclose(results[1][path], value, atol=2e-6, err_msg=path)


def test_weight_decay_leaves_norms_and_biases_alone():
    model = convnet()
    optimizer = keras.optimizers.SGD(weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=norms_and_biases(model))
    model.get_layer("c3").bias.assign(np.full(6, 7.0, "float32"))
    before = values(model)
    stage = kft.Stage(1, 1, 1e-12)
    fit(model, [stage, kft.Stage("all", 1, 1e-12)], optimizer=optimizer)
    for group in model.optimizer.group_optimizers:
        assert group.weight_decay == 0.5
    after = values(model)
    np.testing.assert_allclose(after["c3/bias"], before["c3/bias"], rtol=1e-6)
    model, before = convnet(), values(convnet())
    optimizer = keras.optimizers.SGD(weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=norms_and_biases(model))
    model.get_layer("c3").bias.assign(np.full(6, 7.0, "float32"))
    fit(model, [kft.Stage(1, 2, 1e-2)], optimizer=optimizer)
    shrunk = np.linalg.norm(values(model)["c3/kernel"]) / np.linalg.norm(before["c3/kernel"])
    assert shrunk < 0.97
    assert np.abs(values(model)["c3/bias"] - 7).max() < 0.05


def test_a_moving_average_of_weights_starts_from_the_weights():
    model, spy = convnet(), Spy()
    optimizer = keras.optimizers.Adam(use_ema=True, ema_momentum=0.5)
    fit(model, callbacks=[spy], optimizer=optimizer)
    final, last, first = values(model), spy.seen[-1], spy.seen[0]
    assert moved(final, last) == ALL, "fit ends with the averages"
    for path in ALL:
        distance = np.abs(final[path] - last[path]).max()
        assert distance <= np.abs(last[path] - first[path]).max() + 1e-6, path


def test_mixed_precision_keeps_its_loss_scale():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = convnet()
    finally:
        keras.config.set_dtype_policy("float32")
    scales = []

    class Look(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            scales.append(float(ops.convert_to_numpy(self.model.optimizer.dynamic_scale)))

        on_epoch_end = on_epoch_begin

    spy = Spy()
    scaled = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(), initial_scale=64.0, dynamic_growth_steps=4
    )
    fit(model, callbacks=[spy, Look()], optimizer=scaled)
    begin, end = scales[0::2], scales[1::2]
    assert end[0] == 128.0
    assert begin[1:] == end[:-1], "a new stage goes on with the scale of the one before"
    assert moved(spy.seen[3], spy.seen[4]) == ALL
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)


def test_several_steps_an_execution_change_nothing():
    if BACKEND == "torch":
        with pytest.raises(ValueError, match="must be 1 with the PyTorch backend"):
            fit(convnet(), compiled={"steps_per_execution": 3})
        return
    results = []
    for steps in (1, 3):
        model = convnet()
        fit(model, compiled={"steps_per_execution": steps})
        results.append(values(model))
    for path, value in results[0].items():
        np.testing.assert_allclose(results[1][path], value, atol=1e-6, err_msg=path)


def test_gradient_accumulation_works_and_is_refused_with_global_clipping():
    spy, model = Spy(), convnet()
    fit(model, callbacks=[spy], optimizer=keras.optimizers.Adam(gradient_accumulation_steps=2))
    assert moved(spy.seen[3], spy.seen[4]) == ALL
    assert int(ops.convert_to_numpy(model.optimizer.iterations)) == 12, "updates, of 24 steps"
    both = keras.optimizers.Adam(gradient_accumulation_steps=2, global_clipnorm=1.0)
    with pytest.raises(InputError, match=r"global_clipnorm=1.0.*gradient_accumulation_steps=2"):
        fit(convnet(), optimizer=both)


def test_freezing_again_works():
    stages = [kft.Stage("all", 1, 1e-2), kft.Stage(0, 1, 1e-2), kft.Stage(["c2"], 1, 1e-2)]
    spy = Spy()
    fit(convnet(), stages, callbacks=[spy])
    steps = [moved(a, b) for a, b in zip(spy.seen, spy.seen[1:], strict=False)]
    assert steps == [ALL, HEAD, HEAD | {"c2/kernel", "c2/bias"}]


def test_a_subclassed_model_trains_by_patterns():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.body = keras.layers.Dense(4, name="body")
            self.top = keras.layers.Dense(3, activation="softmax", name="top")

        def call(self, inputs):
            return self.top(self.body(keras.ops.mean(inputs, axis=(1, 2))))

    model = Own()
    model(images()[0])
    spy = Spy()
    fit(model, [kft.Stage(["top"], 1, 1e-2), kft.Stage("all", 1, 1e-2)], callbacks=[spy])
    steps = [moved(a, b) for a, b in zip(spy.seen, spy.seen[1:], strict=False)]
    assert [{path.split("/")[-2] for path in step} for step in steps] == [{"top"}, {"top", "body"}]
    with pytest.raises(InputError, match=r"unfreeze=0.*subclassed"):
        fit(model, [kft.Stage(0, 1, 1e-2)])


def test_a_model_with_a_nested_backbone_trains_in_stages():
    inputs = keras.Input((16, 16, 3))
    whole = convnet()
    body = keras.Model(whole.input, whole.get_layer("c3").output, name="body")
    pooled = keras.layers.GlobalAveragePooling2D()(body(inputs))
    top = keras.layers.Dense(3, activation="softmax", name="head")(pooled)
    spy = Spy()
    fit(keras.Model(inputs, top), callbacks=[spy])
    assert moved(spy.seen[0], spy.seen[1]) == HEAD
    assert {path.rpartition("/")[0].rpartition("/")[2] for path in moved(spy.seen[3], spy.seen[4])} == {
        "head", "c3", "c2", "c1",
    }  # fmt: skip


def test_predicting_between_stages_uses_the_weights_of_now():
    seen = []

    class Predict(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            x = images()[0][:4]
            seen.append((self.model.predict(x, verbose=0), ops.convert_to_numpy(self.model(x))))

    fit(convnet(), callbacks=[Predict()])
    for predicted, called in seen:
        np.testing.assert_allclose(predicted, called, atol=1e-5)


def test_data_of_unknown_length_take_a_warmup_in_steps():
    x, y = images()

    def batches():
        while True:
            yield x[:8], y[:8]

    model = convnet()
    model.compile("adam", "sparse_categorical_crossentropy")
    good = kft.callbacks.StagedUnfreezing([kft.Stage(0, 1, 1e-2, warmup=2)], verbose=0)
    model.fit(batches(), steps_per_epoch=3, epochs=1, verbose=0, shuffle=False, callbacks=[good])
    assert int(ops.convert_to_numpy(model.optimizer.iterations)) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"early_stopping": 3}, r"early_stopping=3"),
        ({"batch_norm": "eval"}, r"batch_norm='eval'.*'frozen' or 'train'"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(InputError, match=message):
        kft.callbacks.StagedUnfreezing(STAGES, **options)


def test_bad_stages_stop_fit_before_a_step():
    model = convnet()
    before = values(model)
    with pytest.raises(InputError, match=r"unfreeze=9"):
        fit(model, [*STAGES, kft.Stage(9, 1, 1e-3)])
    assert not moved(before, values(model))


def test_the_optimizer_reads_as_one():
    model = convnet()
    fit(model)
    optimizer = unscaled(model.optimizer)
    assert isinstance(optimizer, GroupedOptimizer)
    assert int(ops.convert_to_numpy(optimizer.iterations)) == 24
    assert not {id(v) for v in optimizer.variables} & {id(v) for v in model.variables}


def test_stage_lines_are_printed_when_asked(capsys):
    model = convnet()
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = images()
    model.fit(
        x, y, epochs=4, verbose=0, batch_size=24, callbacks=[kft.callbacks.StagedUnfreezing(STAGES)]
    )
    printed = capsys.readouterr().out
    assert "Stage 2/3 (top 1): 351 parameters train, up to 2 epochs, learning rate 0.01" in printed
