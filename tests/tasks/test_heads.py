import keras
import numpy as np
import pytest

from kft.errors import InputError
from kft.model.pooling import pooled
from kft.tasks import Classification, MultiLabel, Regression
from kft.tasks.forms import resolve
from kft.tasks.losses import LabelCrossEntropy

KINDS = {"single_label": Classification, "multi_label": MultiLabel, "regression": Regression}


def image_features():
    return keras.Input((4, 4, 6))


@pytest.mark.parametrize("pooling", ["avg", "max", "flatten"])
@pytest.mark.parametrize("task", ["single_label", "multi_label", "regression"])
def test_scores_have_one_column_per_class(task, pooling):
    inputs = image_features()
    head = KINDS[task](3, hidden=(5,))
    model = keras.Model(inputs, head.head(pooled(inputs, pooling), inputs))
    scores = model.predict(np.random.default_rng(0).normal(size=(2, 4, 4, 6)), verbose=0)
    assert (scores.shape, scores.dtype) == ((2, 3), np.float32)
    if task == "single_label":
        np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    if task == "multi_label":
        assert ((scores > 0) & (scores < 1)).all()


def test_mean_pooling_ignores_padding():
    inputs, mask = keras.Input((None, 6)), keras.Input((None,), dtype="int32")
    model = keras.Model([inputs, mask], pooled(inputs, "mean", mask))
    x = np.random.default_rng(0).normal(size=(1, 5, 6)).astype("float32")
    padded = np.concatenate([x, np.full((1, 3, 6), 9, "float32")], axis=1)
    short = model([x, np.ones((1, 5), "int32")])
    long = model([padded, np.array([[1] * 5 + [0] * 3], "int32")])
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(short), keras.ops.convert_to_numpy(long), rtol=1e-5
    )


def test_same_seed_gives_the_same_first_weights_and_another_seed_others():
    def weights(seed):
        inputs = keras.Input((6,))
        head = Classification(3, hidden=(4,), seed=seed)
        return keras.Model(inputs, head.head(inputs, inputs)).get_weights()

    for a, b, c in zip(weights(1), weights(1), weights(2), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.ndim == 1 or not np.array_equal(a, c)


def test_mixed_precision_leaves_the_scores_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        inputs = keras.Input((6,))
        scores = Classification(3).head(keras.layers.Dense(4)(inputs), inputs)
    finally:
        keras.config.set_dtype_policy("float32")
    assert scores.dtype == "float32"


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_that_of_keras_for_class_numbers_and_soft_targets(smoothing):
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.ones(4), size=6).astype("float32")
    labels = rng.integers(0, 4, 6)
    one_hot = np.eye(4, dtype="float32")[labels]
    expected = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)(one_hot, scores)
    loss = LabelCrossEntropy(label_smoothing=smoothing)
    for targets in (labels, labels[:, None], one_hot):
        np.testing.assert_allclose(float(loss(targets, scores)), float(expected), rtol=1e-5)


def test_accuracy_counts_class_numbers_and_soft_targets_alike():
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], "float32")
    for targets in (np.array([0, 1, 1]), np.array([[0.7, 0.3], [0.1, 0.9], [0.0, 1.0]], "float32")):
        (metric,) = Classification(2).metrics()
        metric.update_state(targets, scores)
        assert metric.name == "accuracy"
        np.testing.assert_allclose(float(metric.result()), 2 / 3, rtol=1e-6)


@pytest.mark.parametrize("task", ["single_label", "multi_label", "regression"])
def test_a_head_learns_its_task(task):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4)).astype("float32")
    y = {
        "single_label": (x[:, 0] > 0).astype("int64"),
        "multi_label": (x[:, :2] > 0).astype("float32"),
        "regression": x[:, :2] * 3,
    }[task]
    inputs = keras.Input((4,))
    head = KINDS[task](2, **({} if task == "regression" else {"label_smoothing": 0.1}))
    model = keras.Model(inputs, head.head(inputs, inputs))
    model.compile(keras.optimizers.Adam(0.05), loss=head.loss(), metrics=head.metrics())
    history = model.fit(x, y, epochs=15, verbose=0).history
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    assert set(history) == {"loss"} | ({"rmse", "mae"} if task == "regression" else {"accuracy"})


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"num_classes": 1}, "num_classes=1"),
        ({"num_classes": True}, "num_classes=True"),
        ({"num_classes": 0, "task": "regression"}, "num_classes=0"),
        ({"num_classes": 2, "task": "segmentation"}, "task='segmentation'"),
        ({"num_classes": 2, "dropout": 1.0}, "dropout=1.0"),
        ({"num_classes": 2, "hidden": (0,)}, "hidden="),
        ({"num_classes": 2, "label_smoothing": -0.1}, "label_smoothing=-0.1"),
        ({"num_classes": 2, "label_smoothing": 0.1, "task": "regression"}, "label_smoothing=0.1"),
    ],
)
def test_a_bad_argument_is_named_with_its_value(arguments, named):
    with pytest.raises(InputError, match=named):
        resolve(arguments.pop("task", "single_label"), arguments, seed=0)


def test_pooling_that_does_not_fit_the_features_is_refused():
    with pytest.raises(InputError, match="4 axes"):
        pooled(keras.Input((8,)), "avg")
    with pytest.raises(InputError, match="pool them first"):
        Classification(2).head(keras.Input((4, 4, 8)), None)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_a_class_number_that_does_not_exist_has_no_loss(label_smoothing):
    scores = np.array([[0.3, 0.7], [0.6, 0.4], [0.5, 0.5], [0.1, 0.9]], "float32")
    labels = keras.ops.convert_to_tensor(np.array([1, 2, -1, 255]))
    loss = LabelCrossEntropy(label_smoothing=label_smoothing)
    losses = keras.ops.convert_to_numpy(loss.call(labels, keras.ops.convert_to_tensor(scores)))
    assert np.isfinite(losses[0])
    assert np.isnan(losses[1:]).all()
