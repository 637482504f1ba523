import keras
import numpy as np

from kft.model.forward import Forward


def test_a_smaller_batch_is_answered_without_compiling_again():
    traced = []

    class Watched(keras.layers.Layer):
        def call(self, x):
            traced.append(x.shape)
            return 2 * x

    one, other = keras.Input((3,), name="one"), keras.Input((2,), name="other")
    doubled = Watched()(one)
    model = keras.Model({"one": one, "other": other}, [doubled, other])
    forward = Forward(model)
    for count in (8, 5, 1, 8):
        x = {"one": np.full((count, 3), count, "float32"), "other": np.ones((count, 2), "float32")}
        first, second = forward(x)
        np.testing.assert_array_equal(first, 2 * x["one"])
        assert second.shape == (count, 2)
    if keras.backend.backend() != "torch":  # PyTorch does not compile
        assert len([shape for shape in traced if isinstance(shape[0], int)]) == 1
