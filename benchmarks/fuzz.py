"""Fuzzing of the readers with broken files, for which they may raise only a `KftError`.

    KERAS_BACKEND=torch python benchmarks/fuzz.py [--minutes 10] [--out FILE.json]

Half of the time the image reader gets whole and broken images (with bytes flipped, cut, or repeated,
in every format that Pillow can write here); the other half, files of a run directory and of a commit
are broken in the same ways and loaded. Anything but a result or a `KftError` ends the benchmark with
the seed that reproduces it.
"""

import argparse
import functools
import io
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10, help="for each of the two readers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="a JSON file for the result")
    options = parser.parse_args()

    import keras
    from figures import publish, result

    from kft.errors import KftError

    backend = keras.backend.backend()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, make in (("images", images), ("run directories", runs)):
            rng = random.Random(options.seed)
            attempt, counts = make(Path(folder)), Counter()
            until = time.monotonic() + 60 * options.minutes
            while time.monotonic() < until:
                state = rng.getstate()
                try:
                    attempt(rng)
                    counts["read"] += 1
                except KftError:
                    counts["refused"] += 1
                except BaseException:
                    print(f"{name}, input {counts.total()}, state {hash(state)}", file=sys.stderr)
                    raise
            rows.append(
                (name, f"{counts.total():,}", f"{counts['refused']:,}", f"{counts['read']:,}")
            )
    publish(
        result(
            "fuzz",
            command=f"KERAS_BACKEND={backend} python benchmarks/fuzz.py --minutes {options.minutes:g}",
            columns=("reader", "inputs", "refused by name", "read"),
            rows=rows,
            notes=["No input led to anything else."],
            details={"seed": options.seed, "minutes": options.minutes},
            backend=backend,
        ),
        options.out,
    )


def images(folder: Path):
    """Return a test of the image reader that training, prediction and evaluation share."""
    import numpy as np
    from PIL import Image

    from tests.small_images import TinyRecipe

    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    whole = []
    for kind in ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF"):
        for mode in ("RGB", "L") if kind == "JPEG" else ("RGB", "L", "P"):
            file = io.BytesIO()
            Image.fromarray(pixels).convert(mode).save(file, kind)
            whole.append(file.getvalue())
    recipe = TinyRecipe(num_classes=2)

    def attempt(rng: random.Random) -> None:
        recipe.load([broken(rng.choice(whole), rng)])

    return attempt


def runs(folder: Path):
    """Return a test of `kft.load` and of the reader of commits."""
    import numpy as np

    import kft
    from kft.runs.commits import read_commit, write_commit
    from tests.small_images import TinyRecipe

    run = folder / "run"
    TinyRecipe(num_classes=2, classes=["a", "b"]).save(run)
    load = functools.partial(kft.load, recipe=TinyRecipe)
    commit = write_commit(folder / "state", {"n": 1}, {"model/0": np.arange(40.0)}, keep=1)

    def attempt(rng: random.Random) -> None:
        directory, read = rng.choice([(run, load), (commit, read_commit)])
        target = rng.choice(sorted(file for file in directory.iterdir() if file.is_file()))
        copy = folder / "copy"
        shutil.copy(target, copy)
        try:
            target.write_bytes(broken(target.read_bytes(), rng))
            read(directory)
        finally:
            shutil.move(copy, target)

    return attempt


def broken(content: bytes, rng: random.Random) -> bytes:
    """Return the content with one to four random defects."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        way = rng.randrange(5)
        if way == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif way == 1:
            del data[at:]
        elif way == 2:
            data[at:at] = rng.randbytes(rng.randint(1, 64))
        elif way == 3:
            del data[at : at + rng.randint(1, 64)]
        else:
            data[at:at] = data[max(at - 64, 0) : at]
    return bytes(data)


if __name__ == "__main__":
    main()
