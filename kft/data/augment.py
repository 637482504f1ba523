"""Augmentation by Keras' and KerasHub's layers, random only through (seed, epoch, batch)."""

import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kft.data.content import content_digest
from kft.data.trees import leaves, mapped
from kft.errors import InputError

__all__ = [
    "IMAGE_PRESETS",
    "ImageAugmentation",
    "NextView",
    "TextAugmentation",
    "image_augmentation",
]

IMAGE_PRESETS = ("none", "light", "standard", "strong")


def image_augmentation(
    augment: str | Sequence[Any] | Callable[..., Any] | None,
) -> Callable[..., tuple[Any, Any]] | None:
    """The augmentation that a person asks for by name, by layers, or by a function of their own.

    Args:
        augment: `"none"` or None; `"light"` (flip and small crops); `"standard"` (flip, rotation,
            crops); `"strong"` (standard, RandAugment, and MixUp or CutMix, one of them drawn for
            each batch); a list of Keras layers; or a function `(x, y, seed) -> (x, y)`.

    Returns:
        A function `(x, y, seed) -> (x, y)`, or None.

    Raises:
        InputError: It is nothing of the kind.
    """
    if augment is None:
        return None
    if isinstance(augment, str):
        if augment == "none":
            return None
        if augment not in IMAGE_PRESETS:
            raise InputError(
                f"augment={augment!r}, but one of {', '.join(map(repr, IMAGE_PRESETS))}, a list of "
                "Keras layers or a function (x, y, seed) -> (x, y) is expected"
            )
        return ImageAugmentation(_preset(augment))
    if isinstance(augment, list | tuple):
        return ImageAugmentation(augment)
    if callable(augment) and not hasattr(augment, "get_config") and not isinstance(augment, type):
        return augment
    raise InputError(
        f"augment={augment!r}, but a preset, a list of Keras layers or a function (x, y, seed) -> "
        "(x, y) is expected: put a single layer into a list"
    )


def _preset(name: str) -> list[Any]:
    from keras import layers

    # Whatever dtype the model computes in, and whatever layout its backend prefers, images here
    # are float32 and have their channels last.
    common = {"dtype": "float32", "data_format": "channels_last"}
    flip = layers.RandomFlip("horizontal", **common)
    # Zooming in, then moving: each image gets a crop of its own, of the same size as before.
    crop = [
        layers.RandomZoom((-0.2, 0.0), **common),
        layers.RandomTranslation(0.1, 0.1, **common),
    ]
    if name == "light":
        return [flip, *crop]
    turned = [flip, layers.RandomRotation(0.05, **common), *crop]
    if name == "standard":
        return turned
    mixes = (layers.MixUp(0.2, **common), layers.CutMix(1.0, **common))
    return [*turned, layers.RandAugment(num_ops=2, factor=0.3, **common), mixes]


class ImageAugmentation:
    """Runs Keras' image layers over a batch, each with seeds that follow from the batch's own.

    The layers run in a traced function on the CPU, on every backend with the same result. MixUp
    and CutMix mix targets too, so they need one-hot rows. On the JAX backend `RandAugment` takes
    about half a minute to trace: Keras' `Equalization` is unrolled there.

    Args:
        layers: Keras layers that take images `[n, h, w, 3]`, 0 to 255; in place of one, a tuple of
            several, of which each batch gets one.

    Raises:
        InputError: The list is empty or has something else than layers.

    Attributes:
        soft_targets: Whether targets are mixed, so that they must be one-hot rows.

    Example:

    ```python
    augment = ImageAugmentation([keras.layers.RandomFlip("horizontal"), keras.layers.MixUp(0.2)])
    x, y = augment(x, y, seed=(0, epoch, batch))
    ```
    """

    def __init__(self, layers: Sequence[Any]) -> None:
        import keras

        self.steps = [tuple(one) if isinstance(one, list | tuple) else (one,) for one in layers]
        flat = [layer for step in self.steps for layer in step]
        for layer in flat or [None]:
            if not isinstance(layer, keras.layers.Layer):
                raise InputError(
                    f"augment has {layer!r}, but Keras layers are expected, such as "
                    'keras.layers.RandomFlip("horizontal"); pass augment="none" for none'
                )
        self.soft_targets = any(_mixes(layer) for layer in flat)
        self._functions: dict[int, Any] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        names = [" or ".join(type(layer).__name__ for layer in step) for step in self.steps]
        return f"<ImageAugmentation: {', '.join(names)}>"

    def describe(self) -> str:
        """Everything besides the seed that affects what it does, the same in every process.

        Raises:
            InputError: The settings of a layer cannot be identified by their content.
        """
        described = [[_settings(layer) for layer in step] for step in self.steps]
        return json.dumps(described, sort_keys=True)

    def __call__(self, x: Any, y: Any, seed: Sequence[int]) -> tuple[Any, Any]:
        """Augment a batch.

        Args:
            x: Images `[n, h, w, 3]`, 0 to 255; or a dict of inputs, of which one is images.
            y: Targets, an array or a dict of them; rows `[n, k]` where they are mixed.
            seed: Numbers that decide everything.

        Returns:
            `(x, y)`: float32 images of the same size, targets as they were or mixed.

        Raises:
            InputError: The inputs are no images, several of a dict are, or targets to be mixed are
                class indices.
        """
        if isinstance(x, dict):
            name = _only(x, lambda one: np.ndim(one) == 4, "images [n, height, width, channels]")
            images, y = self(x[name], y, seed)
            return {**x, name: images}, y
        if not isinstance(x, np.ndarray) or x.ndim != 4:
            raise InputError(
                f"augmentation needs images [n, height, width, channels], not {type(x).__name__} "
                f'of shape {getattr(x, "shape", "unknown")}: pass augment="none"'
            )
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
        """Images and rows of targets, both mixed if a layer mixes."""
        import tensorflow as tf

        rng = np.random.default_rng(list(seed))
        size = x.shape[1:3]
        # One batch at a time: the seeds are variables of the traced functions.
        with self._lock, tf.device("CPU"):
            images, rows = tf.constant(x, tf.float32), tf.constant(flat)
            for step in self.steps:
                layer = step[int(rng.integers(len(step)))]
                images, rows = self._run(layer, images, rows, rng)
            if tuple(images.shape[1:3]) != size:  # a crop
                images = tf.image.resize(images, size)
        return images.numpy(), rows.numpy()

    def _run(self, layer: Any, images: Any, rows: Any, rng: np.random.Generator) -> Any:
        import tensorflow as tf

        function, shape = self._functions.get(id(layer), (None, None))
        if function is None or shape != images.shape[1:]:
            shape = images.shape[1:]
            spec = [tf.TensorSpec([None, *shape], tf.float32), tf.TensorSpec([None, None])]
            traced = tf.function(_apply(layer), input_signature=spec, autograph=False)
            try:
                function = traced.get_concrete_function()
            except Exception as error:  # whatever a layer raises that was not made for this
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


def _settings(layer: Any) -> list[Any]:
    kind = type(layer)
    try:
        # Through JSON at once, where an error can still name the layer.
        config = json.dumps(_without_names(layer.get_config()), default=_identified)
    except (NotImplementedError, InputError, TypeError) as error:
        raise InputError(
            f"layer {layer.name!r} of augment has settings that do not identify it "
            f"({str(error).strip().splitlines()[0]}), so that a run could not be known again: define "
            "its get_config() with numbers, strings, lists, arrays and functions of a module, or pass "
            "a function (x, y, seed) -> (x, y)"
        ) from error
    return [f"{kind.__module__}.{kind.__qualname__}", json.loads(config)]


def _identified(value: Any) -> str:
    if hasattr(value, "__qualname__"):  # a function or a class
        return f"{value.__module__}.{value.__qualname__}"
    return content_digest(value).hex()


def _without_names(config: Any, is_layer: bool = True) -> Any:
    """A config without the names of layers, which count how many a process has made."""
    if isinstance(config, list | tuple):
        return [_without_names(one, is_layer=False) for one in config]
    if not isinstance(config, dict):
        return config
    # The name of a dtype policy is what it is.
    holds_layer = "class_name" in config and "Policy" not in str(config["class_name"])
    return {
        key: _without_names(value, is_layer=holds_layer and key == "config")
        for key, value in config.items()
        if not (is_layer and key == "name")
    }


def _mixes(layer: Any) -> bool:
    import keras

    return isinstance(layer, keras.layers.MixUp | keras.layers.CutMix)


def _apply(layer: Any) -> Callable[..., Any]:
    import tensorflow as tf

    def apply(images: Any, rows: Any) -> Any:
        if _mixes(layer):
            mixed = layer({"images": images, "labels": rows}, training=True)
            return tf.cast(mixed["images"], tf.float32), tf.cast(mixed["labels"], tf.float32)
        return tf.cast(layer(images, training=True), tf.float32), rows

    return apply


def _only(inputs: dict[str, Any], is_one: Callable[[Any], bool], what: str) -> str:
    """The name of the only input that an augmentation is made for."""
    found = [name for name, one in inputs.items() if is_one(one)]
    if len(found) != 1:
        raise InputError(
            f"augmentation needs one input of {what}, but {', '.join(map(repr, inputs))} has "
            f"{len(found)} of them: pass a function (x, y, seed) -> (x, y) that changes those you "
            "mean"
        )
    return found[0]


def _are_texts(values: Any) -> bool:
    return isinstance(values, np.ndarray) and values.dtype == object and isinstance(values[0], str)


class TextAugmentation:
    """Deletes and swaps words at random, by KerasHub's `RandomDeletion` and `RandomSwap`.

    It runs on the texts, before they are tokenized. A text never loses its last word.

    Args:
        deletion: Probability of each word to be deleted.
        swap: Probability of each word to change places with another.

    Raises:
        InputError: A probability is not between 0 and 1.

    Example:

    ```python
    augment = TextAugmentation(deletion=0.1)
    x, y = augment(np.array(["a good film"], object), y, seed=(0, 0, 0))
    ```
    """

    before_load = True
    soft_targets = False

    def __init__(self, deletion: float = 0.1, swap: float = 0.0) -> None:
        for name, rate in (("deletion", deletion), ("swap", swap)):
            if not 0 <= rate <= 1:
                raise InputError(f"{name}={rate!r}, but a probability from 0 to 1 is expected")
        from keras_hub import layers

        self.deletion, self.swap = deletion, swap
        self.layers: list[Any] = []
        if swap:
            self.layers.append(layers.RandomSwap(swap, seed=0, dtype="string"))
        if deletion:
            self.layers.append(layers.RandomDeletion(deletion, seed=0, dtype="string"))

    def describe(self) -> str:
        """Everything besides the seed that affects what it does."""
        return f"words: deletion {self.deletion}, swap {self.swap}"

    def __call__(self, x: Any, y: Any, seed: Sequence[int]) -> tuple[Any, Any]:
        """Augment texts `[n]`, or those of a dict of inputs, of which one is texts.

        Args:
            x: The texts.
            y: The targets, which stay as they are.
            seed: Numbers that decide everything.

        Returns:
            `(texts, y)`.

        Raises:
            InputError: None of a dict of inputs is texts, or several are.
        """
        if isinstance(x, dict):
            name = _only(x, _are_texts, "texts")
            texts, y = self(x[name], y, seed)
            return {**x, name: texts}, y
        rng = np.random.default_rng(list(seed))
        texts = np.array(x, dtype=object)
        words = [str(text).split() for text in texts]
        rows = [index for index, some in enumerate(words) if len(some) > 1]
        some: Any = [words[index] for index in rows]
        for layer in self.layers:
            if some:
                some = layer(some, rng=rng)
        for index, kept in zip(rows, some, strict=True):
            texts[index] = " ".join(kept) if len(kept) else words[index][0]
        return texts, y


class NextView:
    """Goes from row numbers of examples to those of their kept views, another one each epoch.

    In as many epochs as there are views each example is seen once in each of them.

    Args:
        count: Number of examples.
        views: Number of views, which lie one after the other.

    Example:

    ```python
    rows, y = NextView(count=100, views=2)(np.array([0, 1]), y, seed=(0, epoch, 0))
    ```
    """

    before_load = True
    soft_targets = False

    def __init__(self, count: int, views: int) -> None:
        self.count, self.views = count, views

    def __call__(self, x: np.ndarray, y: Any, seed: Sequence[int]) -> tuple[np.ndarray, Any]:
        """Turn rows `[n]` among the examples into rows among their views; `seed[1]` is the epoch."""
        return x + self.count * ((x + seed[1]) % self.views), y
