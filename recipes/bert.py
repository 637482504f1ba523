"""Recipe for BERT and models of its architecture, such as MiniLM."""

from dataclasses import dataclass
from typing import ClassVar

import keras_hub

from kft.recipe.hugging_face import CONFIG, TOKENIZER_CONFIG
from kft.recipe.text import TextRecipe
from kft.stages.lengths import deep_stage
from kft.stages.stage import Stage


@dataclass(kw_only=True, eq=False)
class BertRecipe(TextRecipe):
    """Fine-tune a BERT (Devlin et al., https://arxiv.org/abs/1810.04805).

    Args:
        preset: Name of a KerasHub preset such as `"bert_base_en_uncased"`, a handle such as
            `"hf://google-bert/bert-base-uncased"`, a preset folder, or a Hugging Face folder.

    The other arguments are those of `kft.TextRecipe`.

    Example:

    ```python
    recipe = BertRecipe("bert_base_en_uncased", num_classes=2)
    run = recipe.fit("reviews.tsv", run_dir="runs/reviews")
    recipe.export("serving/reviews")
    ```
    """

    backbone_class: ClassVar = keras_hub.models.BertBackbone
    hugging_face_types: ClassVar = ("bert",)
    # Those of BertConfig and BertTokenizer in Transformers.
    hugging_face_defaults: ClassVar = {
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
        }
    }

    def default_stages(self, steps: int | None = None) -> list[Stage]:
        """A solved head, then everything, for up to 15 epochs that make some 500 steps.

        Narrower encoders take larger rates: 5e-5 at BERT-base's 768 channels, 1e-4 at MiniLM's 384.
        """
        rate = 5e-5 * 768 / self.encoder.hidden_dim
        return [self.head_stage(steps), deep_stage(steps, rate, most=15, layer_decay=1.0)]
