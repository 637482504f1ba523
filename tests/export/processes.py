"""Processes that the tests start: Keras on a backend, or TensorFlow's C API without Keras."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import warm

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def run(*command: str, backend: str = "tensorflow", stdin: str = "") -> subprocess.CompletedProcess:
    """Run Python with the checkout on its path and Keras on a backend, and require success."""
    path = os.pathsep.join([str(ROOT), str(HERE), *filter(None, sys.path)])
    variables = {"PYTHONPATH": path, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, **variables},
        input=stdin,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def ask(directory: Path, requests: list[tuple[str, list]]) -> list[dict]:
    """Send requests to a version through the C API, in a separate process.

    Each request is a signature and its inputs, a dict for several inputs; an answer is a dict of
    lists, or has the key `error`.
    """
    return ask_and_weigh(directory, requests)[0]


def ask_and_weigh(directory: Path, requests: list[tuple[str, list]]) -> tuple[list[dict], float]:
    """Like `ask`, and also return by how many MB the process grew after the first answer."""

    def coded(inputs):
        if isinstance(inputs, dict):
            return {name: coded(one) for name, one in inputs.items()}
        return [x.decode("latin-1") if isinstance(x, bytes) else x for x in inputs]

    with (
        tempfile.NamedTemporaryFile("w+", suffix=".json") as file,
        tempfile.TemporaryFile() as said,
    ):
        json.dump([(name, coded(inputs)) for name, inputs in requests], file)
        file.flush()
        done = warm.run(
            "kft.export.check",
            "tests.export.asking",
            [str(directory), file.name],
            env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
            stderr=said,
        )
        said.seek(0)
        assert done.returncode == 0, said.read().decode()[-3000:]
    outcome = json.loads(done.stdout.splitlines()[-1])
    return outcome["answers"], outcome["grown"]
