"""Recipes for images: the common part of the families of `keras.applications`."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from os import PathLike, fspath
from os.path import isfile
from pathlib import Path
from typing import Any, ClassVar, Self

import keras

from kft.arguments import did_you_mean, in_words, shown
from kft.errors import InputError
from kft.model.pretrained import RANDOM, StartingWeights, load_weights_file, why_not_downloaded
from kft.recipe.pixel_recipe import PixelRecipe


@dataclass(kw_only=True, eq=False)
class ImageRecipe(PixelRecipe):
    """A recipe whose inputs are images.

    The model takes float32 images `(batch, height, width, 3)` with values from 0 to 255, as a
    decoder makes them: the preprocessing that the pretrained weights expect is part of the model.

    A family is a subclass with its `architectures`, `smallest_image` and `preprocess`.

    Args:
        name: Name of the architecture, as in `keras.applications`.
        image_size: Height and width to which images are resized. Defaults to (224, 224), on which
            most families were trained.
        weights: `"imagenet"` downloads the pretrained weights, a path is a weights file without
            classifier, None starts from scratch. Defaults to `"imagenet"`.
        pooling: `"avg"`, `"max"` or `"flatten"`: how feature maps become a vector. Defaults to
            `"avg"`.
        max_pixels: The largest image that an export decodes, width times height; a larger one gets
            a status instead of scores. Defaults to 50 million.

    The other arguments are those of `kft.Recipe`.
    """

    architectures: ClassVar[dict[str, Callable[..., keras.Model]]] = {}

    name: str = field(default="", kw_only=False)
    weights: str | PathLike | None = "imagenet"

    def __post_init__(self):
        if isinstance(self.weights, PathLike):
            self.weights = fspath(self.weights)
        super().__post_init__()
        if self.name not in self.architectures:
            known = in_words(map(repr, self.architectures))
            if callable(getattr(keras.applications, str(self.name), None)):
                hint, way = "", f"{known}; the recipe ApplicationRecipe has it"
            else:
                hint, way = did_you_mean(str(self.name), self.architectures), known
            raise InputError(
                f"`name={self.name!r}` is not an architecture of {type(self).__name__}{hint}: pass {way}."
            )
        if self.weights not in (None, "imagenet") and not isfile(self.weights):
            raise InputError(
                f"`weights={self.weights!r}` is not a file: pass the path of a weights file of "
                f"{self.name}, 'imagenet' to download one, or weights=None to start from scratch."
            )

    def pretrained_weights(self) -> StartingWeights:
        """Return ImageNet, a file, or random weights."""
        if self.weights is None:
            return RANDOM
        return StartingWeights(
            "ImageNet" if self.weights == "imagenet" else f"the file {self.weights}"
        )

    def preprocess(self, inputs: Any) -> Any:
        """Scale pixels from 0..255 to what the pretrained weights expect, with Keras' own layers."""
        raise NotImplementedError(f"{type(self).__name__} must define `preprocess(inputs)`.")

    def application(self, inputs: Any, weights: str | None) -> keras.Model:
        """Build the architecture on `inputs`, without its classifier.

        Args:
            inputs: The preprocessed images, a Keras tensor.
            weights: None for random weights, or `"imagenet"`.
        """
        build = self.architectures[self.name]
        return build(include_top=False, weights=weights, input_tensor=inputs)

    def backbone(self, inputs: Any) -> Any:
        """Return feature maps `(batch, height, width, channels)` of the preprocessed images."""
        x = self.preprocess(inputs)
        if self.weights is None:
            return self.application(x, None).output
        if self.weights == "imagenet":
            backbone = self._downloaded(x)
        else:
            backbone = self.application(x, None)
            load_weights_file(backbone, self.weights, architecture=self.name)
        self.adapt(backbone)
        return backbone.output

    def adapt(self, backbone: keras.Model) -> None:
        """Correct the pretrained weights of an architecture, if needed. Does nothing by default.

        Args:
            backbone: The architecture with its pretrained weights.
        """

    @classmethod
    def rebuild(cls, arguments: dict[str, Any], directory: Path) -> Self:
        """Build the recipe again, without loading the pretrained weights."""
        weights = arguments["weights"]
        if weights is not None and not isinstance(weights, str):
            raise InputError(f"`weights={shown(weights)}` is neither text nor null.")
        recipe = cls(**{**arguments, "weights": None})
        _ = recipe.model  # built now, since `weights` is set below only as a record
        recipe.weights = weights
        return recipe

    def _downloaded(self, x):
        try:
            return self.application(x, "imagenet")
        except InputError:
            raise
        except Exception as error:
            # Keras raises a plain Exception when a download fails, and ValueError if there are no
            # pretrained weights; both messages are clear.
            if isinstance(error, ValueError):
                raise InputError(f"`weights='imagenet'` for {self.name}: {error}") from error
            url = re.search(r"https?://[^\s:]+", str(error))
            if url is None:
                raise
            raise InputError(
                f"the weights of {self.name} could not be downloaded: "
                f"{why_not_downloaded(str(error), url.group())}. Fetch {url.group()} on a machine "
                "with a network, bring the file here and pass its path as `weights`, or weights=None "
                "to start from scratch."
            ) from error
