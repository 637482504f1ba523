"""Recipes for texts whose backbone and tokenizer come from a preset."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import keras_hub

from kft.arguments import check_whole
from kft.data.examples import Examples
from kft.data.raw_texts import raw_texts
from kft.errors import InputError
from kft.library_logs import library_logs
from kft.recipe.from_preset import from_preset
from kft.recipe.hugging_face import TEXTS
from kft.recipe.preset_recipe import PRESET, PresetRecipe
from kft.recipe.presets import write_kept_preset


@dataclass(kw_only=True, eq=False)
class TokenRecipe(PresetRecipe):
    """A recipe for texts whose backbone and tokenizer come from a preset.

    Args:
        preset: Name of a KerasHub preset, a handle such as `"hf://google-bert/bert-base-uncased"`,
            a preset folder, or a Hugging Face folder with `config.json`, `tokenizer_config.json`,
            the files of the tokenizer and `model.safetensors`.
        weights: `"preset"` for the pretrained weights, None to start from scratch.
        sequence_length: Tokens per row of the model's inputs.
        backbone_dropout: Dropout in the backbone. Defaults to 0.1.

    The other arguments are those of `kft.Recipe`.
    """

    modality: ClassVar[str] = "text"
    deeper_is_better: ClassVar[bool] = True
    folders: ClassVar = TEXTS
    preprocessor_class: ClassVar[Any] = keras_hub.models.Preprocessor

    sequence_length: int | None = None
    backbone_dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sequence_length is not None:
            check_whole("sequence_length", self.sequence_length, "tokens", least=4)
        if not 0 <= self.backbone_dropout < 1:
            raise InputError(
                f"`backbone_dropout={self.backbone_dropout!r}` is not a fraction: pass 0 to below 1."
            )
        self._preprocessor: Any = None

    def load_encoder(self) -> Any:
        """Load the KerasHub backbone, and check that it supports `sequence_length`."""
        encoder = super().load_encoder()
        longest = self.longest_of(encoder)
        if self.sequence_length and self.sequence_length > longest:
            raise InputError(
                f"`sequence_length={self.sequence_length}`, but {self.preset!r} takes at most "
                f"{longest} tokens."
            )
        return encoder

    @property
    def preprocessor(self) -> Any:
        """The KerasHub preprocessor with the preset's tokenizer, loaded on first access."""
        if self._preprocessor is None:
            kind, arguments = keras_hub.models.Tokenizer, self.tokenizer_arguments()
            with library_logs():
                tokenizer = from_preset(self, kind, **arguments)
            self._preprocessor = from_preset(self, self.preprocessor_class, tokenizer=tokenizer)
        return self._preprocessor

    @property
    def longest(self) -> int:
        """The maximum of tokens of the backbone."""
        return self.longest_of(self.encoder)

    @classmethod
    def longest_of(cls, encoder: Any) -> int:
        """Return the maximum of tokens of a backbone."""
        return int(getattr(encoder, "max_sequence_length", None) or 512)

    def encoder_arguments(self) -> Mapping[str, Any]:
        """Return further arguments of the backbone besides those of the preset."""
        return {"dropout": self.backbone_dropout}

    def tokenizer_arguments(self) -> dict[str, Any]:
        """Return further arguments of the tokenizer besides those of the preset."""
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
        """Return texts as a sequence."""
        return raw_texts(raw, self.task)

    def read_all(self) -> None:
        """Build the model and read the tokenizer."""
        super().read_all()
        _ = self.preprocessor

    def save_files(self, directory: Path) -> None:
        """Write the tokenizer and the encoder's configuration as a preset folder without weights."""
        super().save_files(directory)
        write_kept_preset(directory / PRESET, self.encoder, self.preprocessor.tokenizer)
