"""Recipes for text: the common part of KerasHub's encoders."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import keras_hub
import numpy as np

from kft.arguments import check_choice
from kft.data.augment import text_augmentation
from kft.data.batches import Batches
from kft.data.buckets import BucketedBatches, choose_buckets
from kft.data.examples import Examples
from kft.errors import InputError
from kft.family.serving import ServingInputs
from kft.model.pooling import pooled
from kft.recipe import few_shot, tokenization
from kft.recipe.cutting import Cutter
from kft.recipe.hugging_face import accents
from kft.recipe.pairs import measure_pairs, pack_pairs
from kft.recipe.token_graphs import digest, graph, with_length
from kft.recipe.token_recipe import TokenRecipe
from kft.recipe.tokenization import Places
from kft.recipe.words import measure_words, pack_words, word_features, word_inputs

POOLINGS = ("cls", "mean", "pooler")
_PLACES: dict[str, Places] = {"words": pack_words, "pairs": pack_pairs}


@dataclass(kw_only=True, eq=False)
class TextRecipe(TokenRecipe):
    """A recipe whose inputs are texts.

    `load` converts texts to the model's inputs: `token_ids`, `padding_mask` and `segment_ids`, int32
    `(batch, length)`, and for a task that needs `"words"` those of `kft.recipe.words`.

    A family is a subclass with its `backbone_class`, the `hugging_face_types` of Hugging Face folders
    that it accepts and, for each, the `hugging_face_defaults` of settings that a file may omit.

    Args:
        preset: Name of a KerasHub preset, a handle such as `"hf://google-bert/bert-base-uncased"`,
            a preset folder, or a Hugging Face folder with `config.json`, `vocab.txt`,
            `tokenizer_config.json` and `model.safetensors`.
        weights: `"preset"` for the pretrained weights, None to start from scratch.
        sequence_length: Tokens to which a text is cut or padded. By default a length that 99 of
            100 training texts fit into, rounded up to a multiple of 8; for a task on pairs all texts
            fit into it, for one on words it is twice the longest text's. A tagger and a task on pairs
            read longer texts in overlapping pieces.
        pooling: `"cls"` takes the first token's features, `"mean"` the average over the text,
            `"pooler"` the encoder's own pooling layer.
        backbone_dropout: Dropout in the encoder. Defaults to 0.1.
        few_shot: What precedes the stages of a fit. `"contrastive"` trains the encoder for 30 steps to
            give texts of one class similar features (supervised contrastive learning, Khosla et al.
            2020, https://arxiv.org/abs/2004.11362; for few texts: SetFit, Tunstall et al. 2022,
            https://arxiv.org/abs/2209.11055), None means nothing. `"auto"` means `"contrastive"` with
            the default stages, at least three classes, and 2 to 6 training texts of each. Defaults to
            `"auto"`.

    The other arguments are those of `kft.Recipe`.
    """

    gives: ClassVar[tuple[str, ...]] = ("vector", "tokens", "words", "pairs")
    preprocessor_class: ClassVar[Any] = keras_hub.models.TextClassifierPreprocessor

    pooling: str = "mean"
    few_shot: str | None = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pooling not in POOLINGS:
            known = ", ".join(map(repr, POOLINGS))
            raise InputError(f"`pooling={self.pooling!r}` is unknown for text: pass {known}.")
        check_choice("few_shot", self.few_shot, few_shot.CHOICES)
        self._learned_length: int | None = None
        self._packers: dict[int, Callable] = {}

    @property
    def length(self) -> int:
        """The tokens to which `load` cuts and pads: the argument, or a length learned from the data."""
        return self.sequence_length or self._learned_length or self.longest

    @property
    def form(self) -> str:
        """The form of the inputs: tokens as `"text"`, with positions as `"words"` or `"pairs"`."""
        return next((need for need in _PLACES if need in self.task.needs), "text")

    @property
    def places(self) -> Places | None:
        """The function that packs texts with the positions of their words, if the task needs them."""
        pack = _PLACES.get(self.form)
        return None if pack is None else _ForEncoder(pack, frozenset(self.encoder.input))

    @property
    def sees_padding(self) -> bool:
        """Whether padding changes the features, as in F-Net; all texts then have one length."""
        return "padding_mask" not in self.encoder.input

    def tokenizer_arguments(self) -> dict[str, Any]:
        """Return whether to strip accents, as Hugging Face's tokenizer does."""
        return accents(self.preset)

    def inputs(self) -> Any:
        """Return the encoder's inputs, `padding_mask`, and positions of words if the task needs them."""
        tokenizer = (
            self.preprocessor.tokenizer
        )  # small, so the checks below come before the weights are loaded
        if self.form != "text":
            tokenization.check_word_pieces(tokenizer, self.preset, type(self.task).__name__)
        inputs = dict(self.encoder.input)
        if self.sees_padding:
            inputs["padding_mask"] = keras.Input((None,), dtype="int32", name="padding_mask")
        return word_inputs(inputs) if self.places else inputs

    def backbone(self, inputs: Any) -> Any:
        """Return the encoder's outputs by name: `sequence_output` `(batch, length, channels)`, and others."""
        output = self.encoder.output
        return output if isinstance(output, dict) else {"sequence_output": output}

    def features(self, need: str, backbone: Any, inputs: Any) -> Any:
        """Return a vector for each text by `pooling`, or one for each token, for words with positions."""
        tokens = backbone["sequence_output"]
        if need != "vector":
            return tokens if need == "tokens" else word_features(tokens, inputs)
        if self.pooling == "pooler":
            if "pooled_output" not in backbone:
                raise InputError(
                    f"`pooling='pooler'`, but a {type(self.encoder).__name__} has no pooling layer: pass "
                    "'mean' or 'cls'."
                )
            return backbone["pooled_output"]
        return pooled(tokens, self.pooling, mask=inputs["padding_mask"])

    def examples_in_pieces(self, examples: Examples) -> Examples:
        """Return examples with a row for each piece of a text that is too long, if the task joins them."""
        return self._cutter().examples(examples) if self._cuts else examples

    def in_pieces(self, raw: Any) -> Any:
        """Return texts, with pieces in place of those that are too long, if the task joins them."""
        return self._cutter().texts(raw) if self._cuts else raw

    @property
    def quotes_inputs(self) -> bool:
        """Whether the task needs positions in the text, from which it cuts its answers."""
        return self.places is not None

    @property
    def _cuts(self) -> bool:
        return self.form == "pairs" or (self.form == "words" and self.task.joins_pieces)

    def _cutter(self) -> Cutter:
        pairs = self.form == "pairs"
        measure = measure_pairs if pairs else measure_words
        return Cutter(with_length(self.preprocessor, self.length), measure, begins=pairs)

    def learn(self, examples: Examples) -> None:
        """Choose the sequence length, unless it was passed."""
        super().learn(examples)
        some = examples.inputs[:: max(1, len(examples.inputs) // 20_000)]
        if self.places:
            tokenization.check_words(self.preprocessor, some[:2_000], self.preset)
        if self.sequence_length is None:
            counts = tokenization.lengths(self.load, some, self.longest)
            self._learned_length = tokenization.suggested_length(counts, self.longest, self.form)

    def state(self) -> dict[str, Any]:
        """Return what `learn` found."""
        return {**super().state(), "length": self._learned_length}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        super().restore({name: one for name, one in state.items() if name != "length"})
        length = state["length"]
        if length is not None and not (type(length) is int and 0 < length <= self.longest):
            raise InputError(
                f"the saved length is {length!r}, but the encoder takes 1 to {self.longest} tokens."
            )
        self._learned_length = length

    def load(self, raw: Sequence[str], length: int | None = None) -> dict[str, np.ndarray]:
        """Tokenize texts, by the graph that exports also use.

        Args:
            raw: The texts, as strings or as UTF-8; only the first 131,072 characters of each are used.
            length: Tokens to cut and pad to. Defaults to `length`.

        Raises:
            InputError: If bytes are not UTF-8.
        """
        length = self.length if length is None else length
        packed = self._packed(raw, max(length, self.length))
        if packed["padding_mask"][:, length:].any():  # cut again, so that it keeps its end token
            packed = self._packed(raw, length)
        return {name: tokens[:, :length] for name, tokens in packed.items()}

    def load_all(self, examples: Examples) -> dict[str, np.ndarray]:
        """Tokenize examples, cut to the length of the longest of them."""
        if self.sees_padding:
            return super().load_all(examples)
        counts = tokenization.lengths(self.load, examples.inputs, self.longest)
        return self.load(examples.inputs, min(self.length, -(-int(counts.max()) // 8) * 8))

    def few_shot_rule(self, train: Any, *, default_stages: bool) -> str | None:
        """Return why a contrastive warm start precedes the stages, None if it does not."""
        return few_shot.contrastive_rule(self, train, default_stages=default_stages)

    def augmentation(self, chosen: Any) -> Callable | None:
        """Convert a preset or a function to an augmentation of training texts.

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
        """Return batches padded to a few lengths chosen from the data."""
        order: dict[str, Any] = {"seed": seed, "shuffle": shuffle, "balance": balance}
        settings = {"batch_size": batch_size, **order}
        if augment is not None or self.sees_padding:
            return super().batches(examples, augment=augment, **settings)
        lengths = tokenization.lengths(self.load, examples.inputs, self.longest)
        buckets = choose_buckets(lengths, self.length)
        return BucketedBatches(examples, self.load, lengths=lengths, buckets=buckets, **settings)

    def input_identity(self) -> str:
        """Return a digest of the tokenizer's vocabulary and settings, and the length."""
        return f"{self.form} {digest(self.preprocessor.tokenizer, self.length)}"

    def from_stream(self, dataset: Any) -> Any:
        """Add `load` to a `tf.data.Dataset` of texts; one of tokens is unchanged."""
        dataset = super().from_stream(dataset)
        spec = getattr(dataset, "element_spec", (None,))[0]
        if getattr(spec, "dtype", None) != "string":
            return dataset
        preprocessor = with_length(self.preprocessor, self.length)
        pack = graph(tokenization.pack, preprocessor, places=self.places)
        return dataset.map(lambda x, *y: (pack(x), *y))

    def serving_inputs(self) -> ServingInputs:
        """Return how texts, a string tensor `[n]`, are converted; invalid UTF-8 is left out."""
        parts = self.task.input_parts
        return tokenization.serving_inputs(self.preprocessor, self.length, self.places, parts)

    def _packed(self, raw, length):
        if length not in self._packers:
            self._packers[length] = tokenization.packer(self.preprocessor, length, self.places)
        return self._packers[length](raw)


@dataclass(frozen=True)
class _ForEncoder:
    """A function that packs texts with the positions of words, for the inputs of one encoder."""

    pack: Places
    names: frozenset[str]

    def __call__(self, preprocessor: Any, texts: Any) -> dict[str, Any]:
        packed = self.pack(preprocessor, texts)
        return {
            name: one for name, one in packed.items() if name in self.names or name != "segment_ids"
        }
