"""Seconds and memory of a fit on cached features as the number of images grows.

    python benchmarks/speed_growth.py [--thousands 1 4 16 64] [--out FILE.json]

Small JPEG files, one folder per class; the files are links to a few hundred different images, which
saves kft no work. Two stages of MobileNetV2 0.35 at 32 px, each on cached features. Memory is the
increase of the peak resident set of the process during the fit.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CLASSES, DISTINCT = 4, 400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--thousands", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--out", help="a JSON file for the result")
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder is not None:
        print(json.dumps(one_fit(options.folder)))
        return

    import keras
    from figures import publish, result

    found = []
    for thousand in options.thousands:
        with tempfile.TemporaryDirectory() as folder:
            write_images(Path(folder) / "data", thousand * 1000)
            done = subprocess.run(
                [sys.executable, __file__, "--folder", folder],
                text=True, stdout=subprocess.PIPE, check=True,
            )  # fmt: skip
            found.append({"images": thousand * 1000} | json.loads(done.stdout.splitlines()[-1]))
            print(found[-1], flush=True)
    rows = [
        (
            f"{one['images']:,}",
            f"{one['seconds']:.0f}",
            f"{1000 * one['seconds'] / one['images']:.2f}",
            f"{one['memory']:.0f}",
        )
        for one in found
    ]
    backend = keras.backend.backend()
    command = "python benchmarks/speed_growth.py --thousands "
    command += " ".join(map(str, options.thousands))
    publish(
        result(
            "speed_growth",
            command=f"KERAS_BACKEND={backend} {command}",
            columns=("images", "seconds", "ms an image", "memory, MB"),
            rows=rows,
            notes=[
                "A single run each. Memory is the process's peak over what it was before the fit."
            ],
            details=found,
            backend=backend,
        ),
        options.out,
    )


def write_images(folder: Path, count: int) -> None:
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    originals = folder.parent / "originals"
    originals.mkdir()
    for index in range(DISTINCT):
        pixels = rng.integers(0, 256, (32, 32, 3)).astype("uint8")
        Image.fromarray(pixels).save(originals / f"{index}.jpg")
    for label in range(CLASSES):
        (folder / str(label)).mkdir(parents=True)
    for index in range(count):
        link = folder / str(index % CLASSES) / f"{index}.jpg"
        link.hardlink_to(originals / f"{index % DISTINCT}.jpg")


def one_fit(folder: str) -> dict[str, Any]:
    import kft
    from kft.stages.stage import Stage
    from recipes import MobileNetRecipe

    recipe = MobileNetRecipe(
        "MobileNetV2", num_classes=CLASSES, alpha=0.35, image_size=(32, 32), weights=None
    )
    _ = recipe.model
    before = peak()
    started = time.perf_counter()
    recipe.fit(
        Path(folder) / "data", stages=[Stage(0, 2, 1e-3), Stage(1, 2, 1e-3)], cache=True,
        run_dir=Path(folder) / "run", early_stopping=None, finish=kft.Finish(report=False), verbose=0,
    )  # fmt: skip
    return {"seconds": time.perf_counter() - started, "memory": peak() - before}


def peak() -> float:
    """Return the peak memory of the process so far in MB; Linux counts in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
