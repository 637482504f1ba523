"""Augmentations given by name, as layers, or as a function."""

from collections.abc import Callable, Sequence
from typing import Any

from kft.arguments import shown
from kft.data.augment.images import ImageAugmentation
from kft.data.augment.texts import TextAugmentation
from kft.errors import InputError

_IMAGE_PRESETS = ("none", "light", "standard", "strong")
_TEXT_PRESETS = {"light": {"deletion": 0.05}, "standard": {"deletion": 0.1, "swap": 0.1}}


def image_augmentation(
    augment: str | Sequence[Any] | Callable[..., Any] | None,
    *,
    moves: str | None = None,
) -> Callable[..., tuple[Any, Any]] | None:
    """Return the image augmentation that is given by name, as layers, or as a function.

    Args:
        augment: `"none"` or None; `"light"` (flip and small crops); `"standard"` (flip, rotation,
            crops); `"strong"` (standard, RandAugment, and for each batch either MixUp or CutMix);
            a list of Keras layers; or a function `(x, y, seed) -> (x, y)`.
        moves: As for `ImageAugmentation`. For boxes there is no `"strong"`, and `"standard"` changes
            colours instead of rotating.

    Returns:
        A function `(x, y, seed) -> (x, y)`, or None.

    Raises:
        InputError: `augment` is none of these.
    """
    if augment is None:
        return None
    if isinstance(augment, str):
        if augment == "none":
            return None
        if augment not in _IMAGE_PRESETS:
            raise InputError(
                f"augment={shown(augment)}, but one of {', '.join(map(repr, _IMAGE_PRESETS))}, a list of "
                "Keras layers or a function (x, y, seed) -> (x, y) is expected"
            )
        return ImageAugmentation(
            _box_preset(augment) if moves == "boxes" else _preset(augment), moves=moves
        )
    if isinstance(augment, list | tuple):
        return ImageAugmentation(augment, moves=moves)
    if callable(augment) and not hasattr(augment, "get_config") and not isinstance(augment, type):
        return augment
    raise InputError(
        f"augment={shown(augment)}, but a preset, a list of Keras layers or a function (x, y, seed) -> "
        "(x, y) is expected: put a single layer into a list"
    )


def text_augmentation(augment: Any) -> Callable | None:
    """Return the text augmentation that is given by name or as a function.

    Args:
        augment: `"none"` or None; `"light"` or `"standard"`; a `TextAugmentation`; or a function
            `(x, y, seed) -> (x, y)`.

    Raises:
        InputError: `augment` is none of these.
    """
    if isinstance(augment, str) and augment == "none":
        return None
    if isinstance(augment, str) and augment in _TEXT_PRESETS:
        return TextAugmentation(**_TEXT_PRESETS[augment])
    if augment is None or (callable(augment) and not isinstance(augment, type)):
        return augment
    known = ", ".join(map(repr, ("none", *_TEXT_PRESETS)))
    raise InputError(
        f"`augment={shown(augment)}` is unknown for text: pass {known}, a TextAugmentation, or a "
        "function (x, y, seed) -> (x, y)."
    )


def _preset(name: str) -> list[Any]:
    from keras import layers

    # Here images are float32 with channels last, whatever the model and the backend use.
    common = {"dtype": "float32", "data_format": "channels_last"}
    flip = layers.RandomFlip("horizontal", **common)
    # Zooming in and then moving crops each image at random and keeps its size.
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


def _box_preset(name: str) -> list[Any]:
    from keras import layers

    if name == "strong":
        raise InputError(
            'augment="strong" mixes and rotates images, but boxes cannot follow: pass "light" or "standard"'
        )
    common = {"dtype": "float32", "data_format": "channels_last"}
    # The pixels at the border are repeated, since reflected ones would show things without boxes.
    moving = {**common, "fill_mode": "nearest"}
    nearer = -0.2 if name == "light" else -0.4
    moved = [
        layers.RandomFlip("horizontal", **common),
        layers.RandomZoom((nearer, 0.0), **moving),
        layers.RandomTranslation(0.1, 0.1, **moving),
    ]
    if name == "light":
        return moved
    coloured = {"dtype": "float32", "value_range": (0, 255)}
    return [
        *moved,
        layers.RandomBrightness(0.1, **coloured),
        layers.RandomContrast(0.2, **coloured),
    ]
