"""Latency and throughput of an export, compared with Keras' own ways to answer the same requests.

    KERAS_BACKEND=tensorflow python benchmarks/export.py [--weights FILE] [--seconds 3] [--out FILE]

One model, one run, one machine: the export through TensorFlow's C API (as servers use it, without
XLA) from encoded images and from pixels, and a plain `model.export` of the same model through the
same C API, in turns; then `recipe.predict` and `keras.Model.predict`, in turns.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

BATCHES = (1, 32)


def measure(calls: dict[str, Callable[[], object]], seconds: float) -> dict[str, dict[str, float]]:
    """Time the calls in turns, so that other load on the machine affects all of them equally."""
    times: dict[str, list[float]] = {way: [] for way in calls}
    end = time.perf_counter() + seconds * len(calls)
    for call in calls.values():
        call()
        call()
    while time.perf_counter() < end or len(next(iter(times.values()))) < 5:
        for way, call in calls.items():
            begun = time.perf_counter()
            call()
            times[way].append(time.perf_counter() - begun)
    return {
        way: {
            "median_ms": 1e3 * float(np.median(took)),
            "p95_ms": 1e3 * float(np.percentile(took, 95)),
            "requests_per_second": 1 / float(np.median(took)),
        }
        for way, took in times.items()
    }


def serve(folder: str, seconds: float) -> None:
    """Measure SavedModels through the C API, in a process without Keras."""
    from kft.export import protos
    from kft.export.session import Session

    protos.without_tensorflow()
    base = Path(folder)
    pixels = np.load(base / "pixels.npy")
    raw = np.array([path.read_bytes() for path in sorted(base.glob("*.jpg"))], dtype=object)
    sessions = {
        name: Session(path) for name, path in json.loads((base / "served.json").read_text()).items()
    }
    (plain_input,) = sessions["plain"].signatures["serving_default"].inputs

    def ways(n: int) -> dict[str, Callable[[], object]]:
        def asked(name: str, signature: str, key: str, value: np.ndarray) -> Callable[[], object]:
            return lambda: sessions[name].run(signature, {key: value[:n]})

        return {
            "kft export, encoded images": asked("float32", "serving_default", "inputs", raw),
            "kft export, float16 weights": asked("float16", "serving_default", "inputs", raw),
            "kft export, int8 weights": asked("int8", "serving_default", "inputs", raw),
            "kft export, pixels": asked("float32", "tensors", "inputs", pixels),
            "model.export, pixels": asked("plain", "serving_default", plain_input, pixels),
        }

    print(json.dumps({n: measure(ways(n), seconds) for n in BATCHES}))


def jpegs(count: int) -> list[bytes]:
    from PIL import Image

    generator = np.random.default_rng(0)
    made = []
    for _ in range(count):
        coarse = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(coarse).resize((320, 240)).save(buffer, "JPEG", quality=90)
        made.append(buffer.getvalue())
    return made


def size_of(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def main(weights: str | None, seconds: float, out: str | None) -> None:
    from figures import publish, result

    from recipes import MobileNetRecipe

    recipe = MobileNetRecipe(
        "MobileNetV2", num_classes=5, alpha=0.35, weights=weights, image_size=(224, 224),
        classes=tuple("abcde"),
    )  # fmt: skip
    raw = jpegs(max(BATCHES))
    pixels = recipe.load(raw)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        saved, notes = {}, []
        for name in ("float32", "float16", "int8"):
            begun = time.perf_counter()
            saved[name] = recipe.export(base / name, examples=raw[:4], weights=name)
            notes.append(made(f"kft export with {name} weights and its check", begun, saved[name]))
        begun = time.perf_counter()
        recipe.model.export(str(base / "plain"), verbose=False)
        notes.append(made("model.export", begun, base / "plain"))
        np.save(base / "pixels.npy", pixels)
        for index, one in enumerate(raw):
            (base / f"{index:03d}.jpg").write_bytes(one)
        served = {name: str(path) for name, path in (saved | {"plain": base / "plain"}).items()}
        (base / "served.json").write_text(json.dumps(served))
        command = [sys.executable, __file__, "--serve", folder, "--seconds", str(seconds)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        figures = {int(n): one for n, one in json.loads(done.stdout.splitlines()[-1]).items()}
    for n in BATCHES:
        in_python = {
            "recipe.predict, encoded images": lambda n=n: recipe.predict(raw[:n]),
            "keras.Model.predict, pixels": lambda n=n: recipe.model.predict(pixels[:n], verbose=0),
        }
        figures[n] |= measure(in_python, seconds)
    rows = [
        (
            way,
            *(
                cell
                for one in (figures[n][way] for n in BATCHES)
                for cell in (
                    f"{one['median_ms']:.1f} ({one['p95_ms']:.1f})",
                    f"{one['requests_per_second']:.1f}",
                )
            ),
        )
        for way in figures[1]
    ]
    columns = [f"batch {n}: {what}" for n in BATCHES for what in ("ms (p95)", "requests/s")]
    command = "KERAS_BACKEND=tensorflow python benchmarks/export.py"
    command += f" --weights {Path(weights).name}" if weights else ""
    publish(
        result(
            "export",
            command=command,
            columns=("way", *columns),
            rows=rows,
            notes=["MobileNetV2 0.35 at 224 px. " + " ".join(notes)],
            details=figures,
            backend="tensorflow",
        ),
        out,
    )


def made(what: str, begun: float, folder: Path) -> str:
    """Describe how long an export took, and its size."""
    return f"{what}: {time.perf_counter() - begun:.1f} s, {size_of(folder):.1f} MB."


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--weights", help="a weights file of MobileNetV2 0.35 without classifier")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure")
    parser.add_argument("--out", help="a JSON file for the result")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.seconds)
    else:
        if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
            sys.exit("model.export is written on TensorFlow: run with KERAS_BACKEND=tensorflow")
        main(options.weights, options.seconds, options.out)
