"""The time of a staged fit compared with its floor: the frozen part once, and bare compiled steps.

    python benchmarks/speed_floor.py --architecture ResNet50 --noise 400 --image-size 224

The floor is the work that cannot be avoided: the frozen part on each example once, the training
steps, and the validation, all as compiled calls on batches in memory, after a first call that is not
counted. The run is `Recipe.fit` from images to the end, including decoding, compiling, plan, features
on disk, callbacks and evaluation. Floor and run take turns.
"""

import argparse
import statistics
import time
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--architecture", default="ResNet50", help="as in speed_images.py")
    parser.add_argument("--noise", type=int, default=400, help="number of random images")
    parser.add_argument("--image-size", type=int, default=224, help="height and width")
    parser.add_argument("--epochs", type=int, default=5, help="epochs of each of the two stages")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions")
    parser.add_argument("--out", help="a JSON file for the result")
    options = parser.parse_args()

    import keras
    from figures import publish, result
    from speed_images import RECIPES, noise
    from turns import spread

    import recipes
    from kft.data.split import split
    from kft.stages.stage import Stage

    images = noise(options.noise, options.image_size)
    train, validation = split(images, 0.2, 0)
    name, arguments = RECIPES[options.architecture]
    stages = [Stage(depth, options.epochs, 1e-4) for depth in (0, 1)]
    runs, floors = [], []
    for _ in range(options.rounds):
        recipe = getattr(recipes, name)(
            num_classes=5, weights=None, seed=0,
            image_size=(options.image_size, options.image_size), **arguments,
        )  # fmt: skip
        _ = recipe.model
        started = time.perf_counter()
        recipe.fit(train, validation, stages=stages, early_stopping=None, cache=True, verbose=0)
        runs.append(time.perf_counter() - started)
        floors.append(floor(recipe, train, validation, stages))
        print(f"run {runs[-1]:.1f} s, floor {floors[-1]:.1f} s", flush=True)
    ratios = [floor / run for floor, run in zip(floors, runs, strict=True)]
    backend = keras.backend.backend()
    publish(
        result(
            "speed_floor",
            command=f"KERAS_BACKEND={backend} python benchmarks/speed_floor.py --architecture "
            f"{options.architecture} --noise {options.noise} --image-size {options.image_size} "
            f"--epochs {options.epochs} --rounds {options.rounds}",
            columns=("model", "backend", "floor, s", "run, s", "floor / run"),
            rows=[
                (
                    options.architecture,
                    backend,
                    *(spread(one, ".1f") for one in (floors, runs)),
                    spread(ratios, ".2f"),
                )
            ],
            notes=[
                f"{len(train)} images to train, {len(validation)} to validate, "
                f"{options.image_size} px; {options.epochs} epochs of the head and of one block."
            ],
            details={"runs": runs, "floors": floors, "median": statistics.median(ratios)},
            backend=backend,
        ),
        options.out,
    )


def floor(recipe: Any, train: Any, validation: Any, stages: list) -> float:
    """Return the seconds of the work that cannot be avoided."""
    import keras

    from kft.cache.cut import find_cut
    from kft.cache.folding import folded
    from kft.stages.plan import plan

    def ready(examples: Any) -> list:
        batches = recipe.batches(examples, batch_size=32)
        return [batches[index] for index in range(len(batches))]

    data, held_out = ready(train), ready(validation)
    cuts = []
    for stage in plan(recipe.model, stages, "frozen"):
        stage.enter(recipe.model)
        cut, _ = find_cut(recipe.model)
        assert cut is not None
        cuts.append((stage, cut))
    tensors = [tensor for _, cut in cuts for tensor in cut.prefix.outputs]
    prefix = folded(keras.Model(recipe.model.input, tensors))  # as in the run
    seconds = 0.0
    features: dict[str, list] = {}
    for part, batches in (("train", data), ("validation", held_out)):
        for x, *_ in batches:  # each shape compiles once
            prefix.predict_on_batch(x)
        started = time.perf_counter()
        features[part] = [keras.tree.flatten(prefix.predict_on_batch(x)) for x, *_ in batches]
        seconds += time.perf_counter() - started
    for index, (stage, cut) in enumerate(cuts):
        stage.enter(recipe.model)
        suffix = cut.suffix
        suffix.compile(keras.optimizers.AdamW(1e-4), loss=recipe.loss(), metrics=recipe.metrics())
        steps = [(rows[index], y) for rows, (_, y, *_) in zip(features["train"], data, strict=True)]
        checks = [
            (rows[index], y)
            for rows, (_, y, *_) in zip(features["validation"], held_out, strict=True)
        ]
        for step in (steps[0], steps[-1]):
            suffix.train_on_batch(*step)
        for check in (checks[0], checks[-1]):
            suffix.test_on_batch(*check)
        started = time.perf_counter()
        for _ in range(stage.stage.epochs):
            for step in steps:
                suffix.train_on_batch(*step)
            for check in checks:
                suffix.test_on_batch(*check)
        seconds += time.perf_counter() - started
    return seconds


if __name__ == "__main__":
    main()
