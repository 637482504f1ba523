"""Which exports the tolerance accepts and refuses, for random weights like those of trained models.

    KERAS_BACKEND=tensorflow python benchmarks/export_rounding.py [--seeds 100] [--out FILE.json]

For each family and each way of storing weights, a hundred draws of scaled random weights: kernels
whose scale varies between layers, BatchNorm statistics of real activations with added noise, features
far from 1. The export (BatchNorm folded, traced, in batches of 1, 2 and all) is compared with the
model's own answers as in the exporter, and so are exports that should be refused: with one weight
changed, with one layer's weights shuffled, and with inputs that are off by one in 255 (for texts, by
one token).
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

STORED = ("float32", "float16", "int8")
EXAMPLES = 4
WORDS = [chr(97 + i) + chr(97 + j) for i in range(26) for j in range(26)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=100, help="draws of weights per family")
    parser.add_argument("--family", action="append", choices=FAMILIES, help="only this one")
    parser.add_argument("--weights", action="append", choices=STORED, help="only stored so")
    parser.add_argument("--out", help="a JSON file for the result")
    options = parser.parse_args()

    import keras
    from figures import publish, result

    if keras.backend.backend() != "tensorflow":
        sys.exit("exports are made on TensorFlow: run with KERAS_BACKEND=tensorflow")
    rows, details = [], {}
    for family in options.family or FAMILIES:
        for stored in options.weights or STORED:
            with tempfile.TemporaryDirectory() as folder:
                draws = study(family, stored, options.seeds, Path(folder))
            details[f"{family} {stored}"] = {
                name: [float(f"{draw[name]:.3g}") for draw in draws] for name in draws[0]
            }
            rows.append(summary(family, stored, draws))
            print(" | ".join(rows[-1]), flush=True)
            keras.utils.clear_session()
    publish(
        result(
            "export_rounding",
            command=f"KERAS_BACKEND=tensorflow python benchmarks/export_rounding.py "
            f"--seeds {options.seeds}" + "".join(f" --weights {one}" for one in options.weights or ()),
            columns=(
                "family", "weights", "largest feature", "tolerance of features, median",
                "difference / tolerance, largest", "exports refused", "one weight changed",
                "one layer shuffled", "inputs off by one",
            ),
            rows=rows,
            notes=[
                f"{options.seeds} draws of scaled random weights each. The tolerance is relative to the "
                "largest feature. The last three columns say how many wrong exports were refused, and "
                "in brackets the median of their difference in tolerances."
            ],
            details=details,
            backend="tensorflow",
        ),
        options.out,
    )  # fmt: skip


def summary(family: str, stored: str, draws: list[dict[str, Any]]) -> tuple[str, ...]:
    good = [draw["export"] for draw in draws]
    wrong = []
    for kind in ("weight", "layer", "input"):
        found = [draw[kind] for draw in draws]
        wrong.append(f"{sum(one > 1 for one in found)} ({np.median(found):.2g})")
    return (
        family,
        stored,
        f"{max(draw['scale'] for draw in draws):.2g}",
        f"{np.median([draw['relative'] for draw in draws]):.1e}",
        f"{max(good):.2f}",
        f"{sum(one > 1 for one in good)} of {len(draws)}",
        *wrong,
    )


def study(family: str, stored: str, seeds: int, folder: Path) -> list[dict[str, Any]]:
    """Draw weights repeatedly, and return the differences of right and wrong exports in tolerances."""
    import keras

    from kft.cache.folding import folded
    from kft.export import rounding, storage

    draws: list[dict[str, Any]] = []
    traced = None
    for seed in range(seeds):
        if traced is None or stored == "int8":  # a quantised model cannot be reused
            keras.utils.clear_session()
            recipe, inputs = FAMILIES[family](folder)
            model, traced = recipe.model, None
            start = model.get_weights()
        model.set_weights(start)
        draw_weights(model, inputs, seed)
        if stored == "float16":
            storage.round_weights(model)
        elif stored == "int8":
            storage.quantize(model)
        whole = keras.Model(model.input, [model.output, recipe.head_input])
        answers, bounds = rounding.measure(whole, inputs)
        export = folded(whole) if stored != "float16" else whole
        traced = traced or trace(export)
        largest = float(np.abs(answers[1]).max())
        found = {"scale": largest, "relative": bounds[1] / largest, "scores": bounds[0]}
        found["export"] = apart(traced, export, inputs, answers, bounds)
        found["input"] = apart(traced, export, shifted(inputs), answers, bounds)
        for kind, spoil in (("weight", change_one_weight), ("layer", shuffle_one_layer)):
            variable = middle_kernel(export, seed)
            before = np.array(variable)
            variable.assign(spoil(before))
            found[kind] = apart(traced, export, inputs, answers, bounds)
            variable.assign(before)
        draws.append(found)
    return draws


def trace(export: Any) -> Callable:
    """Return a graph of a model with the weights as inputs, so that all draws share one trace."""
    import tensorflow as tf

    def call(weights: Any, inputs: Any) -> Any:
        return export.stateless_call(*weights, inputs, training=False)[0]

    return tf.function(call, autograph=False, reduce_retracing=True)


def apart(traced: Callable, export: Any, inputs: Any, answers: Any, bounds: Any) -> float:
    """Return the largest difference from the answers in tolerances, over several batches."""
    import keras

    from kft.export import rounding

    weights = [
        [variable.value for variable in variables]
        for variables in (export.trainable_variables, export.non_trainable_variables)
    ]
    worst = 0.0
    for rows in ([0], [1], [0, 1], list(range(EXAMPLES)) * 3):
        batch = keras.tree.map_structure(lambda values, rows=rows: values[rows], inputs)
        given = [np.asarray(value) for value in traced(weights, batch)]
        differences = rounding.distances([answer[rows] for answer in answers], given)
        worst = max(worst, float(np.max(differences / bounds)))
    return worst


def draw_weights(model: Any, inputs: Any, seed: int) -> None:
    """Give a model random weights like those of a trained model."""
    import keras

    rng = np.random.default_rng(seed)
    for variable in model.variables:
        shape, name = variable.shape, variable.name
        if name in ("gamma", "scale"):
            values = rng.lognormal(0, 0.5, shape) * rng.choice([-1, 1], shape, p=[0.05, 0.95])
        elif name in ("beta", "bias"):
            values = rng.normal(0, 0.5, shape)
        elif "kernel" in name:
            inside = shape[0] * shape[1] if "depthwise" in name else int(np.prod(shape[:-1]))
            values = rng.normal(0, np.sqrt(2 / inside), shape) * rng.lognormal(0, 0.5)
        else:
            continue
        variable.assign(values)
    norms = [one for one in model.layers if isinstance(one, keras.layers.BatchNormalization)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0  # the statistics of this batch
    if norms:
        model(inputs, training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        variance = np.array(norm.moving_variance)
        shift = rng.normal(0, 0.3, variance.shape) * np.sqrt(variance)
        norm.moving_mean.assign(np.array(norm.moving_mean) + shift)
        norm.moving_variance.assign(variance * rng.lognormal(0, 0.7, variance.shape))
    # Logits of the size of a trained head's, whatever the size of the features.
    head = model.get_layer("predictions")
    before = keras.Model(model.input, head.input)
    scale = 3 / max(1e-6, float(np.std(np.array(before(inputs, training=False)))))
    head.kernel.assign(rng.normal(0, scale / np.sqrt(head.kernel.shape[0]), head.kernel.shape))


def middle_kernel(model: Any, seed: int) -> Any:
    """Return a kernel from the middle of a model."""
    kernels = [one for one in model.variables if "kernel" in one.name and len(one.shape) > 1]
    kernels = [one for one in kernels if "scale" not in one.name]
    return kernels[len(kernels) // 3 + seed % max(1, len(kernels) // 3)]


def change_one_weight(kernel: np.ndarray) -> np.ndarray:
    """Return the kernel with the sign of its largest weight flipped."""
    changed = kernel.copy()
    changed.flat[np.argmax(np.abs(kernel.astype(np.float32)))] *= -1
    return changed


def shuffle_one_layer(kernel: np.ndarray) -> np.ndarray:
    """Return the kernel with its weights rolled along one axis."""
    return np.roll(kernel, 1, axis=-2)


def shifted(inputs: Any) -> Any:
    """Return images that are too bright by one in 255, or texts with another second word."""
    if not isinstance(inputs, dict):
        return inputs + 1
    tokens = np.array(inputs["token_ids"])
    tokens[:, 2] = tokens[:, 2] % 100 + 10
    return {**inputs, "token_ids": tokens}


def images(size: int) -> np.ndarray:
    """Return a few smooth images with some noise."""
    rng = np.random.default_rng(1)
    coarse = rng.uniform(0, 255, (EXAMPLES, 5, 5, 3))
    smooth = np.kron(coarse, np.ones((1, size // 5 + 1, size // 5 + 1, 1)))[:, :size, :size]
    return (0.85 * smooth + 0.15 * rng.uniform(0, 255, smooth.shape)).astype(np.float32)


def image_family(recipe: str, name: str, size: int, **more: Any) -> Callable:
    def build(folder: Path) -> tuple[Any, Any]:
        import recipes

        family = getattr(recipes, recipe)
        built = family(name, num_classes=5, weights=None, image_size=(size, size), **more)
        return built, images(size)

    return build


def bert(folder: Path) -> tuple[Any, Any]:
    import keras_hub

    from recipes import BertRecipe

    if not (folder / "config.json").exists():
        vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
        keras_hub.models.BertTokenizer(vocabulary).save_to_preset(str(folder))
        keras_hub.models.BertBackbone(
            vocabulary_size=len(vocabulary), num_layers=6, num_heads=4, hidden_dim=128,
            intermediate_dim=512, max_sequence_length=32,
        ).save_to_preset(str(folder))  # fmt: skip
    built = BertRecipe(str(folder), num_classes=5, sequence_length=24, weights=None)
    rng = np.random.default_rng(2)
    return built, built.load([" ".join(rng.choice(WORDS, 5 + 5 * i)) for i in range(EXAMPLES)])


FAMILIES: dict[str, Callable[[Path], tuple[Any, Any]]] = {
    "VGG16": image_family("VGG16Recipe", "VGG16", 32),
    "ResNet50": image_family("ResNetRecipe", "ResNet50", 32),
    "InceptionV3": image_family("InceptionV3Recipe", "InceptionV3", 75),
    "MobileNet": image_family("MobileNetRecipe", "MobileNet", 64, alpha=0.25),
    "MobileNetV2": image_family("MobileNetRecipe", "MobileNetV2", 64, alpha=0.35),
    "BERT": bert,
}

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
