"""Recipes whose model comes from a KerasHub preset or a Hugging Face folder."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import keras_hub

from kft.arguments import shown
from kft.errors import InputError
from kft.model.precision import built_with
from kft.model.pretrained import RANDOM, StartingWeights
from kft.recipe.from_preset import from_preset
from kft.recipe.hugging_face import Defaults, Folders
from kft.recipe.presets import check_kept_preset
from kft.recipe.recipe import Recipe

PRESET = "preset"


@dataclass(kw_only=True, eq=False)
class PresetRecipe(Recipe):
    """A recipe whose backbone and preprocessing come from a preset.

    Args:
        preset: Name of a KerasHub preset, a handle such as `"hf://google-bert/bert-base-uncased"`, a
            preset folder, or a Hugging Face folder.
        weights: `"preset"` for the pretrained weights, None to start from scratch.

    The other arguments are those of `kft.Recipe`.
    """

    backbone_class: ClassVar[Any] = keras_hub.models.Backbone
    folders: ClassVar[Folders]
    hugging_face_types: ClassVar[tuple[str, ...] | None] = None
    hugging_face_defaults: ClassVar[Defaults] = {}

    preset: str = field(kw_only=False)
    weights: str | None = "preset"

    def __post_init__(self) -> None:
        self.check_preset()
        self._preset_of_run: str | None = None
        self._encoder: Any = None
        super().__post_init__()
        if self.weights not in ("preset", None):
            raise InputError(
                f"`weights={self.weights!r}`: pass 'preset' for the pretrained weights of "
                f"{self.preset!r}, or weights=None to start from scratch."
            )

    def check_preset(self) -> None:
        """Convert a path to text, and check the types of all arguments."""
        if isinstance(self.preset, os.PathLike):
            self.preset = os.fspath(self.preset)
        self.check_arguments()

    def pretrained_weights(self) -> StartingWeights:
        """Return the preset, or random weights."""
        return RANDOM if self.weights is None else StartingWeights(f"the preset {self.preset}")

    @property
    def encoder(self) -> Any:
        """The KerasHub backbone, loaded on first access."""
        if self._encoder is None:
            with built_with(self.precision):
                self._encoder = self.load_encoder()
        return self._encoder

    def load_encoder(self) -> Any:
        """Load the KerasHub backbone.

        Raises:
            InputError: If the preset is another kind of model, is damaged, or could not be downloaded.
        """
        return from_preset(
            self,
            self.backbone_class,
            load_weights=self.weights is not None,
            **self.encoder_arguments(),
        )

    def encoder_arguments(self) -> Mapping[str, Any]:
        """Return further arguments of the backbone besides those of the preset."""
        return {}

    @classmethod
    def rebuild(cls, arguments: dict[str, Any], directory: Path) -> Self:
        """Build the recipe again from the configuration and the preprocessing in a run directory."""
        for name in ("preset", "weights"):
            if not isinstance(arguments[name], str | None if name == "weights" else str):
                raise InputError(f"`{name}={shown(arguments[name])}` is not a text.")
        check_kept_preset(directory / PRESET)
        recipe = cls(**{**arguments, "preset": str(directory / PRESET), "weights": None})
        recipe.read_all()  # now, since the directory may be removed
        recipe.preset = recipe._preset_of_run = arguments["preset"]
        recipe.weights = None if arguments["weights"] is None else "preset"
        return recipe

    def read_all(self) -> None:
        """Read everything in the preset that the recipe needs."""
        _ = self.model

    def pretrained(self) -> Self:
        """Return a recipe with the preset's weights; a preset named by a run is never downloaded."""
        if self.preset == self._preset_of_run and "://" in self.preset:
            raise InputError(
                f"the run says that its weights were those of {self.preset!r}, and nothing is fetched "
                "because a run names it: fetch the preset, and set recipe.preset to its folder."
            )
        return super().pretrained()
