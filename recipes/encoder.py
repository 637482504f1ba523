"""Recipes for KerasHub's text encoders: RoBERTa, ALBERT, DeBERTa, ELECTRA and others."""

from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import keras_hub

from kft.recipe.hugging_face import CONFIG, ENCODERS, TOKENIZER_CONFIG, Defaults
from kft.recipe.text import TextRecipe
from kft.stages.lengths import deep_stage
from kft.stages.stage import Stage

# The defaults of BertConfig, RobertaConfig, DistilBertConfig and AlbertConfig in Transformers;
# XLMRobertaConfig has RobertaConfig's.
_ROBERTA: dict[str, Any] = {
    "vocab_size": 50265,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "hidden_dropout_prob": 0.1,
    "max_position_embeddings": 512,
}
_DEFAULTS: Defaults = {
    "bert": {
        CONFIG: {
            "vocab_size": 30522,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "hidden_size": 768,
            "intermediate_size": 3072,
            "max_position_embeddings": 512,
        },
        TOKENIZER_CONFIG: {"do_lower_case": True},
    },
    "roberta": {CONFIG: _ROBERTA},
    "xlm-roberta": {CONFIG: {**_ROBERTA, "vocab_size": 30522}},
    "distilbert": {
        CONFIG: {
            "vocab_size": 30522,
            "n_layers": 6,
            "n_heads": 12,
            "dim": 768,
            "hidden_dim": 3072,
            "dropout": 0.1,
            "max_position_embeddings": 512,
        },
        TOKENIZER_CONFIG: {"do_lower_case": True},
    },
    "albert": {
        CONFIG: {
            "vocab_size": 30000,
            "embedding_size": 128,
            "num_hidden_layers": 12,
            "num_hidden_groups": 1,
            "inner_group_num": 1,
            "num_attention_heads": 64,
            "hidden_size": 4096,
            "intermediate_size": 16384,
            "attention_probs_dropout_prob": 0.0,
            "max_position_embeddings": 512,
            "type_vocab_size": 2,
        }
    },
}


@dataclass(kw_only=True, eq=False)
class EncoderRecipe(TextRecipe):
    """Fine-tune a text encoder of KerasHub of any family.

    It supports encoders with a `TextClassifierPreprocessor` in KerasHub, and ELECTRA. Tagging and
    answers in a context need a WordPiece tokenizer: BERT, DistilBERT, ELECTRA. A family's own recipe
    has the rates and layer decay that its authors published.

    Args:
        preset: Name of a KerasHub preset such as `"roberta_base_en"`, a handle such as
            `"hf://FacebookAI/roberta-base"`, a preset folder, or a Hugging Face folder of ALBERT, BERT,
            DistilBERT, RoBERTa or XLM-RoBERTa.

    The other arguments are those of `kft.TextRecipe`.

    Example:

    ```python
    recipe = EncoderRecipe("distil_bert_base_en_uncased", num_classes=2)
    run = recipe.fit("reviews.tsv", run_dir="runs/reviews")
    recipe.export("serving/reviews")
    ```
    """

    hugging_face_types: ClassVar[tuple[str, ...] | None] = ENCODERS
    hugging_face_defaults: ClassVar = _DEFAULTS
    rate: ClassVar[float] = 5e-5  # for the 768 channels of a base model
    layer_decay: ClassVar[float] = 1.0

    def default_stages(self, steps: int | None = None) -> list[Stage]:
        """Return a solved head, then everything, for about 500 steps.

        That takes up to 15 epochs, or 60 for tags of words: a few dozen steps do not teach more than that
        most words have the same tag. Narrower encoders get higher rates: the family's is for 768 channels.
        """
        rate = self.rate * 768 / self.encoder.hidden_dim
        most = 60 if self.form == "words" else 15
        deep = deep_stage(steps, rate, most=most, layer_decay=self.layer_decay)
        return [self.head_stage(steps), deep]


@dataclass(kw_only=True, eq=False)
class RobertaRecipe(EncoderRecipe):
    """Fine-tune RoBERTa (Liu et al., https://arxiv.org/abs/1907.11692), whose tokens are byte pairs.

    The default rate is the highest of those tried there for GLUE, 3e-5 for 768 channels.

    Args:
        preset: Name of a KerasHub preset such as `"roberta_base_en"`, a handle, a preset folder, or a
            Hugging Face folder.

    The other arguments are those of `kft.TextRecipe`.
    """

    backbone_class: ClassVar = keras_hub.models.RobertaBackbone
    hugging_face_types: ClassVar = ("roberta",)
    rate: ClassVar = 3e-5


@dataclass(kw_only=True, eq=False)
class XLMRobertaRecipe(EncoderRecipe):
    """Fine-tune XLM-RoBERTa for 100 languages (Conneau et al., https://arxiv.org/abs/1911.02116).

    Its tokens are sentence pieces; the default rate is RoBERTa's.

    Args:
        preset: Name of a KerasHub preset such as `"xlm_roberta_base_multi"`, a handle, a preset folder,
            or a Hugging Face folder.

    The other arguments are those of `kft.TextRecipe`.
    """

    backbone_class: ClassVar = keras_hub.models.XLMRobertaBackbone
    hugging_face_types: ClassVar = ("xlm-roberta",)
    rate: ClassVar = 3e-5


@dataclass(kw_only=True, eq=False)
class DistilBertRecipe(EncoderRecipe):
    """Fine-tune DistilBERT (Sanh et al., https://arxiv.org/abs/1910.01108), half as deep as BERT.

    Args:
        preset: Name of a KerasHub preset such as `"distil_bert_base_en_uncased"`, a handle, a preset
            folder, or a Hugging Face folder.

    The other arguments are those of `kft.TextRecipe`.
    """

    backbone_class: ClassVar = keras_hub.models.DistilBertBackbone
    hugging_face_types: ClassVar = ("distilbert",)


@dataclass(kw_only=True, eq=False)
class AlbertRecipe(EncoderRecipe):
    """Fine-tune ALBERT (Lan et al., https://arxiv.org/abs/1909.11942).

    All its layers share the weights of one: they are a single block, which is unfrozen, and
    recomputed in each epoch, as a whole. `Stage(1, ...)` trains every layer, `Stage("all", ...)` the
    embeddings too. Its tokens are sentence pieces.

    Args:
        preset: Name of a KerasHub preset such as `"albert_base_en_uncased"`, a handle, a preset folder,
            or a Hugging Face folder.

    The other arguments are those of `kft.TextRecipe`.
    """

    backbone_class: ClassVar = keras_hub.models.AlbertBackbone
    hugging_face_types: ClassVar = ("albert",)


@dataclass(kw_only=True, eq=False)
class DebertaV3Recipe(EncoderRecipe):
    """Fine-tune DeBERTaV3 (He et al., https://arxiv.org/abs/2111.09543), whose tokens are sentence pieces.

    The default rate is one of those tried there for base models, 2e-5 for 768 channels.

    Args:
        preset: Name of a KerasHub preset such as `"deberta_v3_base_en"`, a handle, or a preset folder.
            KerasHub does not convert Hugging Face folders of DeBERTa.

    The other arguments are those of `kft.TextRecipe`.
    """

    backbone_class: ClassVar = keras_hub.models.DebertaV3Backbone
    hugging_face_types: ClassVar = ()
    rate: ClassVar = 2e-5


@dataclass(kw_only=True, eq=False)
class ElectraRecipe(EncoderRecipe):
    """Fine-tune ELECTRA (Clark et al., https://arxiv.org/abs/2003.10555).

    The default rate and layer decay are those published there: 1e-4 for base models and 3e-4 for small
    ones, each layer 0.8 times the rate of the one above it.

    Args:
        preset: Name of a KerasHub preset such as `"electra_base_discriminator_uncased_en"`, a handle,
            or a preset folder. KerasHub does not convert Hugging Face folders of ELECTRA.

    The other arguments are those of `kft.TextRecipe`.
    """

    backbone_class: ClassVar = keras_hub.models.ElectraBackbone
    hugging_face_types: ClassVar = ()
    rate: ClassVar = 1e-4
    layer_decay: ClassVar = 0.8


@dataclass(kw_only=True, eq=False)
class FNetRecipe(EncoderRecipe):
    """Fine-tune F-Net (Lee-Thorp et al., https://arxiv.org/abs/2105.03824): Fourier transforms mix tokens.

    It takes no padding mask, so padding changes its features: all texts are padded to one length in
    training, prediction and exports. Its tokens are sentence pieces.

    Args:
        preset: Name of a KerasHub preset such as `"f_net_base_en"`, a handle, or a preset folder.
            KerasHub does not convert Hugging Face folders of F-Net.

    The other arguments are those of `kft.TextRecipe`.
    """

    backbone_class: ClassVar = keras_hub.models.FNetBackbone
    hugging_face_types: ClassVar = ()


@keras.saving.register_keras_serializable("kft")
class ElectraPreprocessor(keras_hub.models.TextClassifierPreprocessor):
    """Convert texts to ELECTRA's inputs, which are BERT's; KerasHub (0.32) has no such class.

    `TextClassifierPreprocessor.from_preset` finds it among the registered classes by its backbone.
    """

    backbone_cls = keras_hub.models.ElectraBackbone
    tokenizer_cls = keras_hub.models.ElectraTokenizer
