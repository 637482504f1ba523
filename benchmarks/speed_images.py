"""The speed of a recipe compared with plain Keras as in its guide to transfer learning, on images.

    python benchmarks/speed_images.py --data FOLDER --weights FILE --stage 0:5:3e-3 --stage 1:5:1e-3
    python benchmarks/speed_images.py --architecture ResNet50 --noise 500 --stage 0:10:1e-3

Both ways train the same layers of the same model, with the same optimizer and rates, for the same
epochs, and validate after each one. Plain Keras sets the flags, compiles and fits for each stage; its
images are decoded once and kept in memory by `tf.data`. The clock runs from the first access to the
data to the end of training, including compilation; both get a built model.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from turns import in_turns, table, turns_parser

PEER = "plain Keras"
RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "MobileNetV2": ("MobileNetRecipe", {"name": "MobileNetV2", "alpha": 0.35}),
    "ResNet50": ("ResNetRecipe", {"name": "ResNet50"}),
    "VGG16": ("VGG16Recipe", {}),
    "InceptionV3": ("InceptionV3Recipe", {}),
}


def main() -> None:
    parser = turns_parser(__doc__)
    parser.add_argument("--architecture", choices=RECIPES, default="MobileNetV2")
    parser.add_argument("--data", help="a folder with a folder per class")
    parser.add_argument("--noise", type=int, help="so many random images in place of a folder")
    parser.add_argument("--weights", help="weights without classifier; random ones by default")
    parser.add_argument("--image-size", type=int, default=128, help="height and width")
    parser.add_argument(
        "--stage", action="append", required=True, metavar="UNFREEZE:EPOCHS:RATE", dest="stages"
    )
    options = parser.parse_args()
    if (options.data is None) == (options.noise is None):
        sys.exit("pass --data FOLDER or --noise COUNT.")
    if options.way is not None:
        print(json.dumps(one_way(options)))
        return

    import keras
    from figures import publish, result

    outcomes = in_turns({PEER: {}, "kft": {}}, options.rounds)
    columns, rows = table(outcomes, PEER)
    stages = ", ".join(options.stages)
    label = f"{options.architecture}, {options.image_size} px, {stages}"
    command = f"python benchmarks/speed_images.py --architecture {options.architecture} "
    command += f"--data {Path(options.data).name} " if options.data else f"--noise {options.noise} "
    command += f"--weights {Path(options.weights).name} " if options.weights else ""
    command += f"--image-size {options.image_size} --rounds {options.rounds} "
    command += " ".join(f"--stage {stage}" for stage in options.stages)
    command += f" --limit {options.limit}" if options.limit else ""
    backend = keras.backend.backend()
    publish(
        result(
            "speed_images",
            command=f"KERAS_BACKEND={backend} {command}",
            columns=("model, size, stages (blocks:epochs:rate)", *columns),
            rows=[(label, *row) for row in rows],
            notes=[
                "Medians over the rounds, with the least and the most; both ways in turns, in "
                "processes of their own."
            ],
            details=outcomes,
            backend=backend,
        ),
        options.out,
    )


def one_way(options: argparse.Namespace) -> dict[str, Any]:
    import keras

    import recipes
    from kft.data.examples import Examples
    from kft.data.read import read
    from kft.data.split import split
    from kft.stages.stage import Stage

    keras.utils.set_random_seed(options.seed)
    stages = []
    for text in options.stages:
        unfreeze, epochs, rate = text.split(":")
        depth = unfreeze if unfreeze == "all" else int(unfreeze)
        stages.append(Stage(depth, int(epochs), float(rate)))
    if options.data:
        photos = read(options.data, task="single_label", modality="image")
        if options.limit:
            _, photos = split(photos, options.limit / len(photos), seed=0)
    else:
        photos = noise(options.noise, options.image_size)
    rest, test = split(photos, 0.2, options.seed)
    train, validation = split(rest, 0.2, options.seed)
    name, arguments = RECIPES[options.architecture]
    recipe = getattr(recipes, name)(
        num_classes=len(photos.classes), weights=options.weights, seed=options.seed,
        image_size=(options.image_size, options.image_size), **arguments,
    )  # fmt: skip
    _ = recipe.model
    way = with_kft if options.way == "kft" else plainly
    started = time.perf_counter()
    way(recipe, train, validation, stages, options.seed)
    seconds = time.perf_counter() - started
    if not isinstance(test, Examples) or options.noise:
        return {"seconds": seconds}
    recipe.name_classes(test.classes, test.source)
    return {"seconds": seconds, "accuracy": recipe.evaluate(test).accuracy}


def with_kft(recipe: Any, train: Any, validation: Any, stages: list, seed: int) -> None:
    recipe.fit(train, validation, stages=stages, early_stopping=None, seed=seed, verbose=0)


def plainly(recipe: Any, train: Any, validation: Any, stages: list, seed: int) -> None:
    import keras

    from kft.stages.optimizer import norms_and_biases
    from kft.stages.plan import plan

    model = recipe.model
    batches = dataset(recipe, train, seed), dataset(recipe, validation)
    for stage in plan(model, stages, "frozen"):
        stage.enter(model)
        optimizer = keras.optimizers.AdamW(
            stage.stage.learning_rate, weight_decay=recipe.weight_decay
        )
        optimizer.exclude_from_weight_decay(var_list=norms_and_biases(model))
        model.compile(optimizer, loss=recipe.loss(), metrics=recipe.metrics())
        model.fit(batches[0], validation_data=batches[1], epochs=stage.stage.epochs, verbose=0)


def dataset(recipe: Any, examples: Any, seed: int | None = None) -> Any:
    """Return decoded images kept in memory, as in the guide."""
    import tensorflow as tf

    size = recipe.image_size

    def decode(path: Any, label: Any) -> Any:
        image = tf.io.decode_image(tf.io.read_file(path), 3, expand_animations=False)
        return tf.image.resize(tf.cast(image, tf.float32), size, antialias=True), label

    inputs = examples.inputs
    if examples.kind == "image_files":
        inputs = [str(path) for path in inputs]
    data = tf.data.Dataset.from_tensor_slices((inputs, examples.targets))
    if examples.kind == "image_files":
        data = data.map(decode, num_parallel_calls=tf.data.AUTOTUNE).cache()
    if seed is not None:
        data = data.shuffle(len(examples), seed=seed)
    return data.batch(32).prefetch(tf.data.AUTOTUNE)


def noise(count: int, size: int) -> Any:
    import numpy as np

    from kft.data.examples import Examples
    from kft.data.kinds import SingleLabels

    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (count, size, size, 3)).astype("float32")
    return Examples("arrays", x, np.arange(count) % 5, tuple("abcde"), "noise", task=SingleLabels())


if __name__ == "__main__":
    main()
