"""Recipes for generative language models: GPT-2, Llama, and all others of KerasHub."""

from dataclasses import dataclass
from typing import ClassVar

import keras_hub

from kft.recipe.language import LanguageRecipe


@dataclass(kw_only=True, eq=False)
class CausalLMRecipe(LanguageRecipe):
    """Fine-tune a language model of KerasHub: Gemma, GPT-2, Llama, Mistral, Phi, Qwen and others.

    Args:
        preset: Name of a KerasHub preset such as `"gpt2_base_en"`, a handle such as
            `"hf://openai-community/gpt2"`, a preset folder, or a Hugging Face folder.

    The other arguments are those of `kft.recipe.language.LanguageRecipe`.

    Example:

    ```python
    recipe = CausalLMRecipe("gpt2_base_en")
    run = recipe.fit("stories.jsonl", run_dir="runs/stories")
    print(recipe.generate("Once upon a time", max_new_tokens=40))
    ```
    """


@dataclass(kw_only=True, eq=False)
class GPT2Recipe(LanguageRecipe):
    """Fine-tune GPT-2 (Radford et al. 2019), as `CausalLMRecipe` does.

    Args:
        preset: Name of a KerasHub preset such as `"gpt2_base_en"`, a handle, or a folder.

    The other arguments are those of `kft.recipe.language.LanguageRecipe`.
    """

    backbone_class: ClassVar = keras_hub.models.GPT2Backbone
    hugging_face_types: ClassVar = ("gpt2",)


@dataclass(kw_only=True, eq=False)
class LlamaRecipe(LanguageRecipe):
    """Fine-tune Llama 2 and models of its architecture (Touvron et al., https://arxiv.org/abs/2307.09288).

    Args:
        preset: Name of a KerasHub preset such as `"llama2_7b_en"`, a handle, or a folder.

    The other arguments are those of `kft.recipe.language.LanguageRecipe`.
    """

    backbone_class: ClassVar = keras_hub.models.LlamaBackbone
    hugging_face_types: ClassVar = ("llama",)
