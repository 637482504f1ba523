"""Recipes for text: what the encoders of KerasHub have in common."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import keras_hub
import numpy as np

from kft.arguments import check_whole
from kft.data.augment import text_augmentation
from kft.data.batches import Batches
from kft.data.buckets import BucketedBatches, choose_buckets
from kft.data.examples import Examples
from kft.data.raw_texts import raw_texts
from kft.errors import InputError
from kft.family.serving import ServingInputs
from kft.model.pooling import pooled
from kft.model.precision import built_with
from kft.model.pretrained import RANDOM, StartingWeights
from kft.recipe import tokenization
from kft.recipe.from_preset import from_preset
from kft.recipe.hugging_face import Defaults
from kft.recipe.pairs import InPieces, pack_pairs
from kft.recipe.presets import check_kept_preset, write_kept_preset
from kft.recipe.recipe import Recipe
from kft.recipe.tokenization import Places
from kft.recipe.words import pack_words, word_features, word_inputs

POOLINGS = ("cls", "mean", "pooler")
_PLACES: dict[str, Places] = {"words": pack_words, "pairs": pack_pairs}
PRESET = "preset"


@dataclass(kw_only=True, eq=False)
class TextRecipe(InPieces, Recipe):
    """A recipe whose inputs are texts.

    `load` makes of texts what the model takes: `token_ids`, `padding_mask` and `segment_ids`, int32
    `(batch, length)`, and for a task that needs `"words"` those of `kft.recipe.words`.

    A family is a subclass: its `backbone_class`, `features` where they have other names, and of
    Hugging Face's folders the `hugging_face_types` that it takes and the `hugging_face_defaults` of
    settings that a file may leave out.

    Args:
        preset: Name of a KerasHub preset, a handle such as `"hf://google-bert/bert-base-uncased"`,
            a preset folder, or a Hugging Face folder with `config.json`, `vocab.txt`,
            `tokenizer_config.json` and `model.safetensors`.
        weights: `"preset"` for the pretrained weights, None to start from scratch.
        sequence_length: Tokens a text is cut or padded to. By default what 99 of 100 training texts
            fit into, rounded up to a multiple of 8; for a task on pairs all of them, for one on words
            twice the longest.
        pooling: `"cls"` takes the first token's features, `"mean"` the average over the text,
            `"pooler"` the encoder's own pooling layer.
        backbone_dropout: Dropout in the encoder. Defaults to 0.1.

    The other arguments are those of `kft.Recipe`.
    """

    modality: ClassVar[str] = "text"
    gives: ClassVar[tuple[str, ...]] = ("vector", "tokens", "words", "pairs")
    deeper_is_better: ClassVar[bool] = True
    backbone_class: ClassVar[Any] = keras_hub.models.Backbone
    hugging_face_types: ClassVar[tuple[str, ...]] = ()
    hugging_face_defaults: ClassVar[Defaults] = {}

    preset: str = field(kw_only=False)
    weights: str | None = "preset"
    sequence_length: int | None = None
    pooling: str = "mean"
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
        if self.pooling not in POOLINGS:
            known = ", ".join(map(repr, POOLINGS))
            raise InputError(f"`pooling={self.pooling!r}` is unknown for text: pass {known}.")
        if self.sequence_length is not None:
            check_whole("sequence_length", self.sequence_length, "tokens", least=4)
        if not 0 <= self.backbone_dropout < 1:
            raise InputError(
                f"`backbone_dropout={self.backbone_dropout!r}` is not a fraction: pass 0 to below 1."
            )
        self._learned_length: int | None = None
        self._preset_of_run: str | None = None
        self._encoder: Any = None
        self._preprocessor: Any = None
        self._packers: dict[int, Callable] = {}

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
                    dropout=self.backbone_dropout,
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
            kind = keras_hub.models.TextClassifierPreprocessor
            self._preprocessor = from_preset(self, kind, tokenizer=tokenizer)
        return self._preprocessor

    @property
    def longest(self) -> int:
        """The most tokens that the encoder takes."""
        return int(getattr(self.encoder, "max_sequence_length", None) or 512)

    @property
    def length(self) -> int:
        """The tokens that `load` cuts and pads to: the argument, or what the data suggested."""
        return self.sequence_length or self._learned_length or self.longest

    def tokenizer_arguments(self) -> dict[str, Any]:
        """What to tell the tokenizer beside what the preset says."""
        return {}

    @property
    def form(self) -> str:
        """What texts become: tokens as `"text"`, with places as `"words"` or `"pairs"`."""
        return next((need for need in _PLACES if need in self.task.needs), "text")

    @property
    def places(self) -> Places | None:
        """What packs texts and tells where words lie, if the task asks for it."""
        return _PLACES.get(self.form)

    def inputs(self) -> Any:
        """The encoder's inputs, by name; and where words lie, if the task asks for it."""
        return word_inputs(self.encoder.input) if self.places else self.encoder.input

    def backbone(self, inputs: Any) -> Any:
        """The encoder's outputs by name: `sequence_output` `(batch, length, channels)`, and others."""
        return self.encoder.output

    def features(self, need: str, backbone: Any, inputs: Any) -> Any:
        """A vector for each text by `pooling`, or one for each token; with words their places too."""
        tokens = backbone["sequence_output"]
        if need != "vector":
            return tokens if need == "tokens" else word_features(tokens, inputs)
        if self.pooling == "pooler":
            return backbone["pooled_output"]
        return pooled(tokens, self.pooling, mask=inputs["padding_mask"])

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

    def learn(self, examples: Examples) -> None:
        """Choose the sequence length, unless the argument says it."""
        super().learn(examples)
        some = examples.inputs[:: max(1, len(examples.inputs) // 20_000)]
        if self.places:
            tokenization.check_words(self.preprocessor, some[:2_000], self.preset)
        if self.sequence_length is None:
            counts = tokenization.lengths(self.load, some, self.longest)
            self._learned_length = tokenization.suggested_length(counts, self.longest, self.form)

    def state(self) -> dict[str, Any]:
        """What `learn` found."""
        return {**super().state(), "length": self._learned_length}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        super().restore({name: one for name, one in state.items() if name != "length"})
        length = state["length"]
        if length is not None and not (type(length) is int and 0 < length <= self.longest):
            raise InputError(
                f"the saved length is {length!r}, but the encoder takes 1 to {self.longest} tokens."
            )
        self._learned_length = length

    def load(self, raw: Sequence[str], length: int | None = None) -> dict[str, np.ndarray]:
        """Turn texts into tokens, by the graph that an export runs too.

        Args:
            raw: The texts, as strings or as UTF-8; of each the first 131,072 characters count.
            length: Tokens to cut and pad to. Defaults to `length`.

        Raises:
            InputError: If bytes are not UTF-8.
        """
        length = self.length if length is None else length
        packed = self._packed(raw, max(length, self.length))
        if packed["padding_mask"][:, length:].any():  # what is cut keeps its last token
            packed = self._packed(raw, length)
        return {name: tokens[:, :length] for name, tokens in packed.items()}

    def augmentation(self, chosen: Any) -> Callable | None:
        """Turn a preset or a function into changes of the training texts.

        Args:
            chosen: `"light"` deletes one word in 20, `"standard"` deletes and swaps one in 10 each;
                a `TextAugmentation`; a function `(x, y, seed) -> (x, y)`; None or `"none"`.
        """
        return self.labels_stay_true(chosen, text_augmentation(chosen))

    def batches(
        self,
        examples: Examples,
        *,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = False,
        balance: str | None = None,
        augment: Callable | None = None,
    ) -> Batches:
        """Batches padded to what their texts need, in a few lengths chosen from the data."""
        order: dict[str, Any] = {"seed": seed, "shuffle": shuffle, "balance": balance}
        settings = {"batch_size": batch_size, **order}
        if augment is not None:
            return super().batches(examples, augment=augment, **settings)
        lengths = tokenization.lengths(self.load, examples.inputs, self.longest)
        buckets = choose_buckets(lengths, self.length)
        return BucketedBatches(examples, self.load, lengths=lengths, buckets=buckets, **settings)

    def input_identity(self) -> str:
        """The tokenizer's vocabulary and settings, and the length."""
        return f"{self.form} {tokenization.digest(self.preprocessor.tokenizer, self.length)}"

    def from_stream(self, dataset: Any) -> Any:
        """Put `load` in front of a `tf.data.Dataset` of texts; one of tokens stays as it is."""
        dataset = super().from_stream(dataset)
        spec = getattr(dataset, "element_spec", (None,))[0]
        if getattr(spec, "dtype", None) != "string":
            return dataset
        preprocessor = tokenization.with_length(self.preprocessor, self.length)
        return dataset.map(lambda x, *y: (tokenization.pack(preprocessor, x, self.places), *y))

    def serving_inputs(self) -> ServingInputs:
        """Texts as a string tensor `[n]` to the model's inputs; bytes that are no text are missing."""
        parts = self.task.input_parts
        return tokenization.serving_inputs(self.preprocessor, self.length, self.places, parts)

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

    def _packed(self, raw, length):
        if length not in self._packers:
            self._packers[length] = tokenization.packer(self.preprocessor, length, self.places)
        return self._packers[length](raw)
