"""A BERT of a few thousand weights, saved as a preset folder and as a Hugging Face folder."""

import json
from pathlib import Path

import keras
import keras_hub
import numpy as np
from safetensors.numpy import save_file

WORDS = "good bad film plot actor the a was is very not café great awful".replace("é", "e").split()
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "##s", ".", "!"]
SHAPE = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}


def save_preset(folder: Path) -> Path:
    """Save a tiny BERT as KerasHub does."""
    backbone().save_to_preset(str(folder))
    tokenizer = keras_hub.models.BertTokenizer(VOCABULARY, lowercase=True)
    tokenizer.save_to_preset(str(folder))
    return folder


def backbone() -> keras_hub.models.BertBackbone:
    """Build the tiny BERT with seeded weights."""
    keras.utils.set_random_seed(7)
    return keras_hub.models.BertBackbone(
        vocabulary_size=len(VOCABULARY), max_sequence_length=32, **SHAPE
    )


def save_hugging_face(folder: Path) -> Path:
    """Save the same tiny BERT as Hugging Face's Transformers does."""
    folder.mkdir(parents=True)
    config = {
        "model_type": "bert",
        "vocab_size": len(VOCABULARY),
        "num_hidden_layers": SHAPE["num_layers"],
        "num_attention_heads": SHAPE["num_heads"],
        "hidden_size": SHAPE["hidden_dim"],
        "intermediate_size": SHAPE["intermediate_dim"],
        "max_position_embeddings": 32,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True})
    )
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    save_file(_in_hugging_face_names(backbone()), folder / "model.safetensors")
    return folder


NAMES = {
    "token_embedding": "embeddings.word_embeddings",
    "position_embedding": "embeddings.position_embeddings",
    "segment_embedding": "embeddings.token_type_embeddings",
    "embeddings_layer_norm": "embeddings.LayerNorm",
    "pooled_dense": "pooler.dense",
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_output": "attention.output.dense",
    "self_attention_layer_norm": "attention.output.LayerNorm",
    "feedforward_intermediate_dense": "intermediate.dense",
    "feedforward_output_dense": "output.dense",
    "feedforward_layer_norm": "output.LayerNorm",
}


def _in_hugging_face_names(model):
    found = {}
    for weight in model.weights:
        *_, layer, kind = weight.path.split("/")
        values = keras.ops.convert_to_numpy(weight)
        if kind == "kernel":  # attention has an axis for the heads, and Torch stores the transpose
            inputs = -1 if layer == "attention_output" else values.shape[0]
            values = values.reshape(inputs, SHAPE["hidden_dim"]) if values.ndim == 3 else values
            values = np.ascontiguousarray(values.T)
        elif kind == "bias":
            values = values.reshape(-1)
        block = weight.path.removeprefix("transformer_layer_").partition("/")[0]
        prefix = f"encoder.layer.{block}." if "transformer_layer_" in weight.path else ""
        suffix = "bias" if kind in ("beta", "bias") else "weight"
        found[f"{prefix}{NAMES[layer]}.{suffix}"] = values
    return found
