"""Recipes for text: what the encoders of KerasHub have in common."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import keras
import keras_hub
import numpy as np

from kft.arguments import check_whole
from kft.data.augment import TextAugmentation
from kft.data.batches import Batches
from kft.data.buckets import BucketedBatches, choose_buckets
from kft.data.examples import Examples
from kft.data.raw_texts import raw_texts
from kft.data.values import kind_of
from kft.errors import InputError
from kft.family.hooks import ServingInputs
from kft.model.pooling import pooled
from kft.model.precision import built_with
from kft.model.pretrained import RANDOM, StartingWeights
from kft.recipe.hugging_face import Defaults, check_folder, completed, first_line
from kft.recipe.presets import check_kept_preset, check_preset, check_size
from kft.recipe.recipe import Recipe

POOLINGS = ("cls", "mean", "pooler")
PRESET = "preset"
LONGEST_TEXT = 131_072  # characters that are tokenised; what follows them is left out
NOT_UTF8 = "not UTF-8"
TEXT_PRESETS = {"light": {"deletion": 0.05}, "standard": {"deletion": 0.1, "swap": 0.1}}


@dataclass(kw_only=True, eq=False)
class TextRecipe(Recipe):
    """A recipe whose inputs are texts.

    The model takes `token_ids`, `padding_mask` and `segment_ids`, int32 `(batch, length)` of any
    length up to what the encoder was made for; `load` makes them of texts.

    A family is a subclass: its `backbone_class`, `features` where they have other names, and of
    Hugging Face's folders the `hugging_face_types` that it takes and the `hugging_face_defaults` of
    settings that a file may leave out.

    Args:
        preset: Name of a KerasHub preset, a handle such as `"hf://google-bert/bert-base-uncased"`,
            a preset folder, or a Hugging Face folder with `config.json`, `vocab.txt`,
            `tokenizer_config.json` and `model.safetensors`.
        weights: `"preset"` for the pretrained weights, None to start from scratch.
        sequence_length: Tokens a text is cut or padded to. By default what 99 of 100 training texts
            fit into, rounded up to a multiple of 8.
        pooling: `"cls"` takes the first token's features, `"mean"` the average over the text,
            `"pooler"` the encoder's own pooling layer.
        backbone_dropout: Dropout in the encoder. Defaults to 0.1.

    The other arguments are those of `kft.Recipe`.
    """

    modality: ClassVar[str] = "text"
    gives: ClassVar[tuple[str, ...]] = ("vector", "tokens")
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
        length = self.sequence_length
        if length is not None:
            check_whole("sequence_length", length, "tokens", least=4)
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
                self._encoder = self._from_preset(
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
            tokenizer = self._from_preset(keras_hub.models.Tokenizer, **self.tokenizer_arguments())
            kind = keras_hub.models.TextClassifierPreprocessor
            self._preprocessor = self._from_preset(kind, tokenizer=tokenizer)
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

    def inputs(self) -> Any:
        """The encoder's inputs, by name."""
        return self.encoder.input

    def backbone(self, inputs: Any) -> Any:
        """The encoder's outputs by name: `sequence_output` `(batch, length, channels)`, and others."""
        return self.encoder.output

    def features(self, need: str, backbone: Any, inputs: Any) -> Any:
        """A vector for each text by `pooling`, which ignores padding, or one for each token."""
        tokens = backbone["sequence_output"]
        if need == "tokens":
            return tokens
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
        return raw_texts(raw)

    def learn(self, examples: Examples) -> None:
        """Choose the sequence length, unless the argument says it."""
        super().learn(examples)
        if self.sequence_length is None:
            self._learned_length = self._suggested_length(examples.inputs)

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
        if isinstance(chosen, str) and chosen == "none":
            return None
        if isinstance(chosen, str) and chosen in TEXT_PRESETS:
            return self.labels_stay_true(chosen, TextAugmentation(**TEXT_PRESETS[chosen]))
        if chosen is None or (callable(chosen) and not isinstance(chosen, type)):
            return self.labels_stay_true(chosen, chosen)
        known = ", ".join(map(repr, ("none", *TEXT_PRESETS)))
        raise InputError(
            f"`augment={chosen!r}` is unknown for text: pass {known}, a TextAugmentation, or a "
            "function (x, y, seed) -> (x, y)."
        )

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
        if augment is not None:
            return super().batches(
                examples,
                batch_size=batch_size,
                seed=seed,
                shuffle=shuffle,
                balance=balance,
                augment=augment,
            )
        lengths = self._lengths(examples.inputs)
        return BucketedBatches(
            examples,
            self.load,
            lengths=lengths,
            buckets=choose_buckets(lengths, self.length),
            batch_size=batch_size,
            seed=seed,
            shuffle=shuffle,
            balance=balance,
        )

    def input_identity(self) -> str:
        """The tokenizer's vocabulary and settings, and the length."""
        tokenizer = self.preprocessor.tokenizer
        config = {k: v for k, v in tokenizer.get_config().items() if k not in ("name", "trainable")}
        described = [config, list(tokenizer.get_vocabulary()), self.length]
        return f"text {hashlib.sha256(json.dumps(described, default=repr).encode()).hexdigest()}"

    def from_stream(self, dataset: Any) -> Any:
        """Put `load` in front of a `tf.data.Dataset` of texts; one of tokens stays as it is."""
        dataset = super().from_stream(dataset)
        spec = getattr(dataset, "element_spec", (None,))[0]
        if getattr(spec, "dtype", None) != "string":
            return dataset
        preprocessor = self._with_length(self.length)
        return dataset.map(lambda texts, *rest: (self._pack(preprocessor, texts), *rest))

    def serving_inputs(self) -> ServingInputs:
        """Texts as a string tensor `[n]` to the model's inputs; bytes that are no text are missing."""
        preprocessor = self._with_length(self.length)

        def decode(raw: Any) -> tuple[Any, Any]:
            texts, status = utf8_rows(raw)
            return self._pack(preprocessor, texts), status

        return ServingInputs(decode, (preprocessor.tokenizer,))

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
        folder = directory / PRESET
        folder.mkdir()
        self.preprocessor.tokenizer.save_to_preset(str(folder))
        config = keras.saving.serialize_keras_object(self.encoder)
        config.pop("build_config", None)
        config.pop("compile_config", None)
        (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")

    def _packed(self, raw, length):
        import tensorflow as tf

        if length not in self._packers:
            signature = [tf.TensorSpec([None], tf.string)]
            pack = partial(self._pack, self._with_length(length))
            self._packers[length] = tf.function(pack, input_signature=signature, autograph=False)
        with tf.device("CPU"):
            packed = self._packers[length](tf.constant([*map(_as_text, raw)], tf.string))
        return {name: tensor.numpy() for name, tensor in packed.items()}

    def _with_length(self, length):
        known = self.preprocessor
        return type(known)(
            tokenizer=known.tokenizer, sequence_length=length, truncate=known.truncate
        )

    @staticmethod
    def _pack(preprocessor, texts):
        import tensorflow as tf

        # A tokenizer takes some sixty bytes of memory for each byte, and then drops most tokens.
        texts = tf.strings.substr(texts, 0, LONGEST_TEXT, unit="UTF8_CHAR")
        return {name: tf.cast(values, tf.int32) for name, values in preprocessor(texts).items()}

    def _suggested_length(self, texts, most=20_000):
        lengths = self._lengths(texts[:: max(1, len(texts) // most)])
        fits = int(np.ceil(np.quantile(lengths, 0.99)))
        return min(self.longest, max(8, -(-fits // 8) * 8))

    def _lengths(self, texts):
        """Tokens of each text, cut to what the encoder takes."""
        lengths = [
            self.load(texts[start : start + 512], self.longest)["padding_mask"].sum(axis=1)
            for start in range(0, len(texts), 512)
        ]
        return np.concatenate(lengths)

    def _from_preset(self, kind, **arguments):
        folder = Path(self.preset)
        if folder.is_dir():
            check_folder(
                folder,
                self.preset,
                needs_weights=self.weights is not None,
                types=self.hugging_face_types,
                recipe=type(self).__name__,
            )
        elif os.sep in self.preset and "://" not in self.preset:
            raise InputError(
                f"`preset={self.preset!r}` is no folder: pass a preset folder, a Hugging Face "
                "folder, or the name of a KerasHub preset."
            )
        try:
            if folder.is_dir():
                check_preset(folder, self.backbone_class)
                with completed(folder, self.hugging_face_defaults) as whole:
                    if arguments.get("load_weights"):
                        outline = {**arguments, "load_weights": False}
                        check_size(whole, lambda: kind.from_preset(str(whole), **outline))
                    return kind.from_preset(str(whole), **arguments)
            return kind.from_preset(self.preset, **arguments)
        except Exception as error:
            # What a failed download raises depends on who was asked: Kaggle, Hugging Face, ...
            said = first_line(error)
            if folder.is_dir():
                raise InputError(
                    f"`preset={self.preset!r}` cannot be loaded by {type(self).__name__}: {said}"
                ) from error
            raise InputError(
                f"`preset={self.preset!r}` could not be fetched ({said}). On a machine with a "
                "network, download the preset (config.json, tokenizer.json, model.weights.h5, "
                "assets/tokenizer/) or the Hugging Face folder (config.json, vocab.txt, "
                "tokenizer_config.json, model.safetensors), bring it here and pass its path."
            ) from error


def _as_text(value: Any) -> str | bytes:
    """A text as it is; the word "None" or "nan" is never made of a gap."""
    if not isinstance(value, str | bytes):
        raise InputError(f"{kind_of(value)} is not a text: pass strings.")
    return value


def utf8_rows(raw: Any) -> tuple[Any, Any]:
    """Return the rows of a string tensor `[n]` that are UTF-8, and a status for each of the n.

    Args:
        raw: Bytes of strangers, a TensorFlow tensor.
    """
    import tensorflow as tf

    # Leaving out what is not UTF-8 leaves only UTF-8 as it is.
    clean = tf.strings.unicode_transcode(raw, "UTF-8", "UTF-8", errors="ignore")
    is_text = tf.equal(clean, raw)
    return tf.boolean_mask(raw, is_text), tf.where(is_text, "", NOT_UTF8)
