"""The recipe for BERT and models of its architecture, such as MiniLM."""

from dataclasses import dataclass
from typing import ClassVar

import keras_hub

from recipes.encoder import EncoderRecipe


@dataclass(kw_only=True, eq=False)
class BertRecipe(EncoderRecipe):
    """Fine-tune a BERT (Devlin et al., https://arxiv.org/abs/1810.04805).

    The default rate is 5e-5 for BERT-base's 768 channels, 1e-4 for MiniLM's 384.

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
