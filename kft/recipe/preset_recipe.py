"""Recipes whose model comes from a preset of KerasHub, or from a Hugging Face folder."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import keras_hub

from kft.arguments import check_whole
from kft.data.examples import Examples
from kft.data.raw_texts import raw_texts
from kft.errors import InputError
from kft.model.precision import built_with
from kft.model.pretrained import RANDOM, StartingWeights
from kft.recipe.from_preset import from_preset
from kft.recipe.hugging_face import Defaults
from kft.recipe.presets import check_kept_preset, write_kept_preset
from kft.recipe.recipe import Recipe

PRESET = "preset"


@dataclass(kw_only=True, eq=False)
class PresetRecipe(Recipe):
    """A recipe for texts whose backbone and tokenizer a preset holds.

    Args:
        preset: Name of a KerasHub preset, a handle such as `"hf://google-bert/bert-base-uncased"`,
            a preset folder, or a Hugging Face folder with `config.json`, `tokenizer_config.json`,
            the files of the tokenizer and `model.safetensors`.
        weights: `"preset"` for the pretrained weights, None to start from scratch.
        sequence_length: Tokens of a row of the model's inputs.
        backbone_dropout: Dropout in the backbone. Defaults to 0.1.

    The other arguments are those of `kft.Recipe`.
    """

    modality: ClassVar[str] = "text"
    deeper_is_better: ClassVar[bool] = True
    backbone_class: ClassVar[Any] = keras_hub.models.Backbone
    preprocessor_class: ClassVar[Any] = keras_hub.models.Preprocessor
    hugging_face_types: ClassVar[tuple[str, ...] | None] = None
    hugging_face_defaults: ClassVar[Defaults] = {}

    preset: str = field(kw_only=False)
    weights: str | None = "preset"
    sequence_length: int | None = None
    backbone_dropout: float = 0.1

    def __post_init__(self) -> None:
        if isinstance(self.preset, os.PathLike):
            self.preset = os.fspath(self.preset)
        super().__post_init__()
        if self.weights not in ("preset", None):
            raise InputError(
                f"`weights={self.weights!r}`: pass 'preset' for the pretrained weights of "
                f"{self.preset!r}, or weights=None to start from scratch."
            )
        if self.sequence_length is not None:
            check_whole("sequence_length", self.sequence_length, "tokens", least=4)
        if not 0 <= self.backbone_dropout < 1:
            raise InputError(
                f"`backbone_dropout={self.backbone_dropout!r}` is not a fraction: pass 0 to below 1."
            )
        self._preset_of_run: str | None = None
        self._encoder: Any = None
        self._preprocessor: Any = None

    def pretrained_weights(self) -> StartingWeights:
        """Those of the preset, or random ones."""
        return RANDOM if self.weights is None else StartingWeights(f"the preset {self.preset}")

    @property
    def encoder(self) -> Any:
        """The KerasHub backbone, loaded when first asked for."""
        if self._encoder is None:
            with built_with(self.precision):
                self._encoder = from_preset(
                    self,
                    self.backbone_class,
                    load_weights=self.weights is not None,
                    **self.encoder_arguments(),
                )
            if self.sequence_length and self.sequence_length > self.longest:
                raise InputError(
                    f"`sequence_length={self.sequence_length}`, but {self.preset!r} takes at most "
                    f"{self.longest} tokens."
                )
        return self._encoder

    @property
    def preprocessor(self) -> Any:
        """The KerasHub preprocessor with the preset's tokenizer, loaded when first asked for."""
        if self._preprocessor is None:
            tokenizer = from_preset(self, keras_hub.models.Tokenizer, **self.tokenizer_arguments())
            self._preprocessor = from_preset(self, self.preprocessor_class, tokenizer=tokenizer)
        return self._preprocessor

    @property
    def longest(self) -> int:
        """The most tokens that the encoder takes."""
        return int(getattr(self.encoder, "max_sequence_length", None) or 512)

    def encoder_arguments(self) -> Mapping[str, Any]:
        """What to tell the backbone beside what the preset says."""
        return {"dropout": self.backbone_dropout}

    def tokenizer_arguments(self) -> dict[str, Any]:
        """What to tell the tokenizer beside what the preset says."""
        return {}

    def check_examples(self, examples: Examples) -> None:
        """Check that examples are texts."""
        if examples.kind != "texts":
            what = "numbers" if examples.kind == "arrays" else "images"
            if isinstance(examples.inputs, dict):
                what = "several inputs"
            raise InputError(
                f"{examples.source} has {what}, but {type(self).__name__} takes texts: pass strings."
            )

    def raw_inputs(self, raw: Any) -> list[str]:
        """Return texts to answer by their position."""
        return raw_texts(raw, self.task)

    @classmethod
    def rebuild(cls, arguments: dict[str, Any], directory: Path) -> Self:
        """Build the recipe again from the tokenizer and the configuration in a run directory."""
        check_kept_preset(directory / PRESET)
        recipe = cls(**{**arguments, "preset": str(directory / PRESET), "weights": None})
        recipe.model, recipe.preprocessor  # noqa: B018  read now: the directory may go
        recipe.preset = recipe._preset_of_run = str(arguments["preset"])
        recipe.weights = None if arguments["weights"] is None else "preset"
        return recipe

    def pretrained(self) -> Self:
        """Return a recipe with the preset's weights; a run cannot name where to fetch them from."""
        if self.preset == self._preset_of_run and "://" in self.preset:
            raise InputError(
                f"the run says that its weights were those of {self.preset!r}, and nothing is fetched "
                "because a run names it: fetch the preset, and set recipe.preset to its folder."
            )
        return super().pretrained()

    def save_files(self, directory: Path) -> None:
        """Write the tokenizer and the encoder's configuration, a preset folder without weights."""
        super().save_files(directory)
        write_kept_preset(directory / PRESET, self.preprocessor.tokenizer, self.encoder)
