"""Augmentation of images by Keras layers that depends only on (seed, epoch, batch)."""

import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kft.data.augment import boxes
from kft.data.augment.inputs import only_input
from kft.data.augment.layer_settings import layer_settings
from kft.data.trees import leaves, mapped
from kft.errors import InputError


class ImageAugmentation:
    """An augmentation that runs Keras image layers over a batch, with seeds derived from the batch's.

    The layers run in a traced TensorFlow function on the CPU, with the same result on every backend.
    MixUp and CutMix also mix targets, so they need one-hot rows. On the JAX backend `RandAugment`
    takes about half a minute to trace, because Keras' `Equalization` is unrolled there.

    Args:
        layers: Keras layers that take images `[n, h, w, 3]`, 0 to 255; or tuples of such layers, of
            which each batch uses one at random.
        moves: Which targets are transformed with the images: `"masks"` `[n, height, width]`, without
            interpolation; or `"boxes"` `[n, m, 5]`: left, top, right and bottom as fractions of the image,
            and the class, which becomes -1 when a box leaves the image. Defaults to None.

    Raises:
        InputError: The list is empty or has something other than layers.

    Attributes:
        soft_targets: Whether targets are mixed, which requires one-hot rows.

    Example:

    ```python
    augment = ImageAugmentation([keras.layers.RandomFlip("horizontal"), keras.layers.MixUp(0.2)])
    x, y = augment(x, y, seed=(0, epoch, batch))
    ```
    """

    def __init__(self, layers: Sequence[Any], *, moves: str | None = None) -> None:
        import keras

        self.moves = moves
        self.steps = [tuple(one) if isinstance(one, list | tuple) else (one,) for one in layers]
        flat = [layer for step in self.steps for layer in step]
        for layer in flat or [None]:
            if not isinstance(layer, keras.layers.Layer):
                raise InputError(
                    f"augment has {layer!r}, but Keras layers are expected, such as "
                    'keras.layers.RandomFlip("horizontal"); pass augment="none" for none'
                )
        if moves == "boxes":
            self.steps = [tuple(map(boxes.for_boxes, step)) for step in self.steps]
        self.soft_targets = any(_mixes(layer) for layer in flat)
        self._functions: dict[int, Any] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        names = [" or ".join(type(layer).__name__ for layer in step) for step in self.steps]
        return f"<ImageAugmentation: {', '.join(names)}>"

    def describe(self) -> str:
        """Return everything besides the seed that affects the result, equal in every process.

        Raises:
            InputError: The settings of a layer cannot be identified by their content.
        """
        described = [[layer_settings(layer) for layer in step] for step in self.steps]
        return json.dumps(described, sort_keys=True)

    def __call__(self, x: Any, y: Any, seed: Sequence[int]) -> tuple[Any, Any]:
        """Augment a batch.

        Args:
            x: Images `[n, h, w, 3]`, 0 to 255; or a dict of inputs, of which one is images.
            y: Targets, an array or a dict of them; rows `[n, k]` if they are mixed.
            seed: Integers that seed the augmentation.

        Returns:
            `(x, y)`: float32 images of the same size, targets unchanged or mixed.

        Raises:
            InputError: There is not exactly one input of images, or targets to be mixed are class
                indices.
        """
        if isinstance(x, dict):
            name = only_input(
                x, lambda one: np.ndim(one) == 4, "images [n, height, width, channels]"
            )
            images, y = self(x[name], y, seed)
            return {**x, name: images}, y
        if not isinstance(x, np.ndarray) or x.ndim != 4:
            raise InputError(
                f"augmentation needs images [n, height, width, channels], not {type(x).__name__} "
                f'of shape {getattr(x, "shape", "unknown")}: pass augment="none"'
            )
        if self.moves == "boxes":
            images, found = self._augmented(x, y.astype(np.float32), seed)
            return images, boxes.still_seen(found, x.shape[1:3])
        if self.moves == "masks":
            images, masks = self._augmented(x, y[..., None].astype(np.float32), seed)
            return images, masks[..., 0].astype(y.dtype)
        if not self.soft_targets:
            return self._augmented(x, np.zeros((len(x), 0), np.float32), seed)[0], y
        for _, targets in leaves(y):
            if np.asarray(targets).dtype.kind in "iu" and np.ndim(targets) == 1:
                raise InputError(
                    "MixUp and CutMix mix targets, but these are class indices: pass one-hot rows, "
                    "for example by soft_targets of Batches"
                )
        flat = [np.reshape(targets, (len(x), -1)) for _, targets in leaves(y)]
        images, rows = self._augmented(x, np.concatenate(flat, axis=1).astype(np.float32), seed)
        ends = np.cumsum([one.shape[1] for one in flat])[:-1]
        mixed = iter(np.split(rows, ends, axis=1))
        return images, mapped(lambda targets: next(mixed).reshape(np.shape(targets)), y)

    def _augmented(
        self, x: np.ndarray, flat: np.ndarray, seed: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return augmented images, with rows of targets that may be mixed, or with masks or boxes."""
        import tensorflow as tf

        rng = np.random.default_rng(list(seed))
        size = x.shape[1:3]
        # One batch at a time, since the seeds are variables of the traced functions.
        with self._lock, tf.device("CPU"):
            images, rows = tf.constant(x, tf.float32), tf.constant(flat)
            for step in self.steps:
                layer = step[int(rng.integers(len(step)))]
                images, rows = self._run(layer, images, rows, rng)
            if tuple(images.shape[1:3]) != size:  # a crop
                images = tf.image.resize(images, size)
                if self.moves == "masks":
                    rows = tf.image.resize(rows, size, method="nearest")
        return images.numpy(), rows.numpy()

    def _run(self, layer: Any, images: Any, rows: Any, rng: np.random.Generator) -> Any:
        import tensorflow as tf

        function, shape = self._functions.get(id(layer), (None, None))
        if function is None or shape != images.shape[1:]:
            shape = images.shape[1:]
            of_rows = [None, *rows.shape[1:]] if self.moves else [None, None]
            spec = [tf.TensorSpec([None, *shape], tf.float32), tf.TensorSpec(of_rows)]
            apply = _apply(layer, self.moves)
            traced = tf.function(apply, input_signature=spec, autograph=False)
            try:
                function = traced.get_concrete_function()
            except Exception as error:  # a layer may raise anything while it is traced
                raise InputError(
                    f"layer {layer.name!r} of augment cannot run in a TensorFlow graph "
                    f"({type(error).__name__}: {error}): use Keras' image augmentation layers, or "
                    "a function (x, y, seed) -> (x, y)"
                ) from error
            self._functions[id(layer)] = (function, shape)
        for variable in function.variables:
            if "seed_generator" in variable.name:
                variable.assign([int(rng.integers(2**31)), 0])
        return function(images, rows)


def _mixes(layer: Any) -> bool:
    import keras

    return isinstance(layer, keras.layers.MixUp | keras.layers.CutMix)


def _apply(layer: Any, moves: str | None) -> Callable[..., Any]:
    import tensorflow as tf

    def apply(images: Any, rows: Any) -> Any:
        if _mixes(layer):
            mixed = layer({"images": images, "labels": rows}, training=True)
            return tf.cast(mixed["images"], tf.float32), tf.cast(mixed["labels"], tf.float32)
        if moves == "boxes":
            return boxes.moved(layer, images, rows)
        if moves == "masks":
            moved = layer({"images": images, "segmentation_masks": rows}, training=True)
            return tuple(tf.cast(one, tf.float32) for one in moved.values())
        return tf.cast(layer(images, training=True), tf.float32), rows

    return apply
