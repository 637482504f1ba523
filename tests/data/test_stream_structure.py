"""Unsupported structures of streams, and errors raised by their own code, are explained."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kft
from kft.data.plain_errors import plain_errors
from kft.errors import InputError
from tests.clips.making import TinyClips, moving_squares
from tests.small_images import DenseRecipe, small_images

X, Y = small_images(16)


class Named(keras.utils.PyDataset):
    """Four batches of dicts of arrays."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 4

    def __getitem__(self, index):
        rows = slice(4 * index, 4 * index + 4)
        return keras.tree.map_structure(lambda part: part[rows], (self.x, self.y))


def of_tf(x, y):
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(4)


def raising(place):
    def rows():
        for index in range(8):
            if index == place:
                raise LookupError("no such row")
            yield X[index], Y[index]

    signature = (tf.TensorSpec(X.shape[1:], X.dtype), tf.TensorSpec((), "int64"))
    return tf.data.Dataset.from_generator(rows, output_signature=signature).batch(4)


@pytest.mark.parametrize("place", [0, 6])
@pytest.mark.parametrize("call", ["fit", "validate", "evaluate"])
def test_what_a_generator_raises_is_said_in_a_line(place, call):
    recipe, stages = DenseRecipe(num_classes=2), [kft.Stage(0, 1, 1e-3)]
    calls = {
        "fit": lambda data: recipe.fit(data, (X, Y), stages=stages, verbose=0),
        "validate": lambda data: recipe.fit((X, Y), data, stages=stages, verbose=0),
        "evaluate": recipe.evaluate,
    }
    message = (
        r"code that yields them raised 'LookupError: no such row' in line \d+ of .*test_stream"
    )
    with pytest.raises(InputError, match=message):
        calls[call](raising(place))


@pytest.mark.once
def test_a_file_that_a_dataset_does_not_find_is_named(tmp_path):
    files = tf.data.TextLineDataset([str(tmp_path / "gone.txt")])
    rows = iter(files.map(lambda line: (tf.zeros(3), 0)).batch(4))
    with (
        pytest.raises(InputError, match=r"cannot be read: .*gone\.txt; No such file"),
        plain_errors(),
    ):
        next(rows)


@pytest.mark.parametrize("make", [of_tf, Named])
def test_inputs_and_targets_of_other_names_are_refused(make):
    recipe = DenseRecipe(num_classes=2)
    (name,) = recipe.input_names
    message = f"yields a dict of inputs with 'picture', but the model takes '{name}': name them so"
    with pytest.raises(InputError, match=message):
        recipe.evaluate(make({"picture": X}, Y))
    message = "a dict of targets with 'label', but an array is expected: yield it alone"
    with pytest.raises(InputError, match=message):
        recipe.evaluate(make({name: X}, {"label": Y}))


def test_a_stream_of_clips_is_held_to_the_names_and_the_shape_of_the_model():
    recipe = TinyClips(num_classes=2)
    clips, labels = moving_squares(16)
    y = np.unique(labels, return_inverse=True)[1]
    with pytest.raises(InputError, match=r"a dict of inputs with 'film', but the model takes"):
        recipe.evaluate(Named({"film": clips}, y))
    shape = ", ".join(map(str, (recipe.frames, *recipe.image_size, 3)))
    with pytest.raises(InputError, match=rf"clips of shape .* the model takes \[n, {shape}\]"):
        recipe.evaluate(Named(clips[:, :1], y))
