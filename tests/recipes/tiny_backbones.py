"""Image backbones of a few thousand weights, one of each kind, saved as preset folders."""

from pathlib import Path
from typing import Any

import keras
import keras_hub
import numpy as np

SIZE = 32
_SHAPE = (SIZE, SIZE, 3)
_TRANSFORMER = {"patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 8}
_FIXED = {**_TRANSFORMER, "image_shape": _SHAPE}
_TEXT = {
    "vocabulary_size": 10,
    "embedding_dim": 8,
    "num_layers": 1,
    "num_heads": 2,
    "hidden_dim": 8,
    "intermediate_dim": 16,
}
KINDS: dict[str, dict[str, Any]] = {
    "ViT": {**_FIXED, "mlp_dim": 16},
    "DeiT": {**_FIXED, "intermediate_dim": 16},
    "DINOV2": {
        **_FIXED,
        "intermediate_dim": 16,
        "num_register_tokens": 2,
        "position_embedding_shape": _SHAPE,
    },
    "DINOV3": {**_FIXED, "intermediate_dim": 16, "num_register_tokens": 2},
    "CLIP": {**_FIXED, "intermediate_dim": 16},
    "SigLIP": {**_FIXED, "intermediate_dim": 16},
    "SwinTransformer": {
        "image_shape": _SHAPE,
        "embed_dim": 4,
        "depths": (2, 2),
        "num_heads": (1, 2),
        "window_size": 4,
        "patch_size": 4,
        "drop_path": 0.0,
    },
    "MiT": {
        "image_shape": _SHAPE,
        "layerwise_depths": [1, 1],
        "num_layers": 2,
        "layerwise_num_heads": [1, 2],
        "layerwise_sr_ratios": [2, 1],
        "max_drop_path_rate": 0.0,
        "layerwise_patch_sizes": [7, 3],
        "layerwise_strides": [4, 2],
        "hidden_dims": [4, 8],
    },
    "DenseNet": {"stackwise_num_repeats": [1, 1], "growth_rate": 4},
    "EfficientNet": {
        "stackwise_kernel_sizes": [3, 3],
        "stackwise_num_repeats": [1, 1],
        "stackwise_input_filters": [8, 8],
        "stackwise_output_filters": [8, 8],
        "stackwise_expansion_ratios": [1, 2],
        "stackwise_squeeze_and_excite_ratios": [0.25, 0.25],
        "stackwise_strides": [1, 2],
        "stackwise_block_types": ["v1", "v1"],
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
        "dropout": 0.0,
    },
    "ResNet": {
        "input_conv_filters": [4, 4, 8],
        "input_conv_kernel_sizes": [3, 3, 3],
        "stackwise_num_filters": [64, 64],
        "stackwise_num_blocks": [1, 1],
        "stackwise_num_strides": [1, 2],
        "block_type": "basic_block_vd",
    },
    "HGNetV2": {
        "depths": [1, 2],
        "embedding_size": 8,
        "hidden_sizes": [8, 8],
        "stem_channels": [3, 8, 8],
        "hidden_act": "relu",
        "use_learnable_affine_block": False,
        "stackwise_stage_filters": [(8, 4, 8, 1, 1, 3), (8, 4, 8, 2, 1, 3)],
        "apply_downsample": [False, True],
        "use_lightweight_conv_block": [False, False],
    },
}


def save_preset(kind: str, folder: Path) -> Path:
    """Save a tiny backbone with seeded weights and its image converter as a preset folder.

    Args:
        kind: One of `KINDS`.
        folder: A directory that does not exist yet.
    """
    keras.utils.set_random_seed(5)
    build(kind).save_to_preset(str(folder))
    converter = getattr(keras_hub.layers, f"{kind}ImageConverter")
    size = {"image_size": (SIZE, SIZE)}
    scale = {"scale": [1 / 51, 1 / 55, 1 / 58], "offset": [-2.1, -2.0, -1.8]}
    converter(**size, **scale).save_to_preset(str(folder))
    return folder


def build(kind: str) -> keras.Model:
    """Build a tiny backbone; for CLIP and SigLIP both towers."""
    models = keras_hub.models
    if kind == "CLIP":
        vision = models.CLIPVisionEncoder(**KINDS[kind], name="clip_vision_encoder")
        text = models.CLIPTextEncoder(**_TEXT, max_sequence_length=8, name="clip_text_encoder")
        return models.CLIPBackbone(vision, text, projection_dim=8)
    if kind == "SigLIP":
        vision = models.SigLIPVisionEncoder(**KINDS[kind], name="siglip_vision_encoder")
        text = models.SigLIPTextEncoder(**_TEXT, max_sequence_length=8, name="siglip_text_encoder")
        return models.SigLIPBackbone(vision, text)
    return getattr(models, f"{kind}Backbone")(**KINDS[kind])


def images(count: int, size: int = SIZE) -> np.ndarray:
    """Return seeded random images, uint8 `(count, size, size, 3)`."""
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
