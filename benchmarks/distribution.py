"""The speedup and the cost of a second process on PyTorch: MobileNetV2 0.35, head stage and all layers.

    KERAS_BACKEND=torch python benchmarks/distribution.py [--repeats 5] [--out FILE.json]

One process on one core is compared with two processes on a core each, in turn, with the same global
batches. Each measurement starts new processes and leaves out their first epoch. Efficiency is the speed
of two divided by twice the speed of one, in medians of the repeats. The bytes are those of the gradients
that each process sends per step.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

STAGES = {"head": 0, "all layers": "all"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each")
    parser.add_argument("--examples", type=int, default=256, help="examples an epoch")
    parser.add_argument(
        "--batch-size", type=int, default=32, help="examples a step, of all processes"
    )
    parser.add_argument("--image-size", type=int, default=96, help="height and width")
    parser.add_argument("--out", help="a JSON file for the result")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        measure(options)
        return
    if len(cores()) < 2:
        sys.exit("two processes need two cores, and this process may use one")
    compare(options)


def cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def compare(options: argparse.Namespace) -> None:
    from figures import publish, result

    from kft.distribution.launch import launch

    found: dict[int, list[dict]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(options.repeats):
            for count in found:
                path = Path(folder) / f"{repeat}-{count}.json"
                settings = ("examples", "batch_size", "image_size")
                command = [sys.executable, __file__, "--measure", str(path)]
                for name in settings:
                    command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
                code = launch(command, count, os.environ | {"OMP_NUM_THREADS": "1"})
                if code:
                    sys.exit(code)
                found[count].append(json.loads(path.read_text()))
                print(f"{count} processes: {found[count][-1]}", flush=True)
    rows = []
    for name in STAGES:
        speeds = {count: [one[name]["speed"] for one in found[count]] for count in found}
        middle = {count: statistics.median(speeds[count]) for count in found}
        rows.append(
            (
                name,
                *(spread(speeds[count]) for count in found),
                f"{middle[2] / middle[1] / 2:.0%}",
                f"{found[2][0][name]['bytes'] / 1e6:.3f}",
            )
        )
    publish(
        result(
            "distribution",
            command=f"KERAS_BACKEND=torch python benchmarks/distribution.py --repeats {options.repeats}",
            columns=(
                "what trains",
                "examples/s, 1 process on 1 core",
                "2 processes on 2 cores",
                "efficiency",
                "MB of gradients a step",
            ),
            rows=rows,
            notes=[
                f"MobileNetV2 0.35, {options.image_size} px, {options.batch_size} examples a step in "
                f"all; medians of {options.repeats}, fastest and slowest in brackets. Gloo over the "
                "loopback interface."
            ],
            details={str(count): each for count, each in found.items()},
            backend="torch",
        ),
        options.out,
    )


def spread(speeds: list[float]) -> str:
    return f"{statistics.median(speeds):.1f} ({min(speeds):.1f} to {max(speeds):.1f})"


def measure(options: argparse.Namespace) -> None:
    """Measure the speeds in one of the processes, of which the first writes them."""
    os.sched_setaffinity(0, {cores()[int(os.environ["RANK"])]})
    import keras
    import numpy as np

    import kft
    from kft.distribution import processes

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.began, self.sent = time.perf_counter(), processes.bytes_sent()

        def on_epoch_end(self, epoch, logs=None):
            self.seconds = time.perf_counter() - self.began
            self.bytes = processes.bytes_sent() - self.sent

    random = np.random.default_rng(0)
    side = options.image_size
    x = random.random((options.examples, side, side, 3), dtype="float32")
    y = np.arange(options.examples) % 10
    found = {}
    for name, unfreeze in STAGES.items():
        with kft.distribution.scope("data_parallel"):
            keras.utils.set_random_seed(0)
            backbone = keras.applications.MobileNetV2(
                input_shape=(side, side, 3),
                alpha=0.35,
                include_top=False,
                pooling="avg",
                weights=None,
            )
            outputs = keras.layers.Dense(10, activation="softmax")(backbone.output)
            model = keras.Model(backbone.input, outputs)
            model.compile("adamw", "sparse_categorical_crossentropy")
            clock = Clock()
            unfreezing = kft.callbacks.StagedUnfreezing([kft.Stage(unfreeze, 2, 1e-4)], verbose=0)
            model.fit(
                x,
                y,
                batch_size=options.batch_size,
                epochs=2,
                verbose=0,
                callbacks=[unfreezing, clock],
            )
        steps = -(-options.examples // options.batch_size)
        found[name] = {"speed": options.examples / clock.seconds, "bytes": clock.bytes / steps}
    if os.environ["RANK"] == "0":
        Path(options.measure).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
