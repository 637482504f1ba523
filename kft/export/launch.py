"""Starting the processes that write and check exports, from any backend."""

import base64
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kft.arguments import check_choice, check_flag, is_whole, path_of, shown
from kft.errors import InputError, KftError
from kft.export.versions import check_place
from kft.family.raw_examples import Raw
from kft.import_path import import_environment, path_of_class, place_of, python
from kft.report.progress import Progress
from kft.runs.places import check_run
from kft.runs.reading import read_object

BATCH_SIZES = (1, 2, 8)
FORMATS = ("saved_model", "onnx", "litert", "openvino")
WEIGHTS = ("float32", "float16", "int8")
LARGEST_EXAMPLE = 16 * 2**20  # bytes or characters of a raw input that a run keeps
_LARGEST_EXAMPLES = 256 * 2**20
_MOST_EXAMPLES = 1000  # a server's limit for warmup
CHECK_SECONDS = 600.0  # for a version from elsewhere


class ExportError(KftError):
    """An export that did not pass its check; nothing became visible."""


def export_run(
    run_dir: str | os.PathLike,
    base_dir: str | os.PathLike,
    *,
    recipe: type | None = None,
    task: type | Sequence[type] = (),
    format: str = "saved_model",
    batch_sizes: Sequence[int] = BATCH_SIZES,
    weights: str = "float32",
    examples: Sequence[Raw] | None = None,
    data: str | os.PathLike | None = None,
    clients: bool = False,
) -> Path:
    """Export a run as the next version in `base_dir`, in a new process on TensorFlow.

    Args:
        run_dir: The directory of a run, trained on any backend.
        base_dir: The directory of the versions; TensorFlow Serving's `base_path`.
        recipe: The class of the run's recipe, if it is not one of kft's own.
        task: The class of its task, or several of them, likewise.
        format: `"saved_model"` for TensorFlow Serving, or `"onnx"`, `"litert"`, `"openvino"`.
        batch_sizes: Batch sizes of the warmup requests.
        weights: `"float32"`; `"float16"` for half the size; `"int8"` to quantise with Keras.
        examples: Raw inputs for warmup and comparison: encoded images, frames of clips, or texts.
            Defaults to those that the run kept.
        data: Labelled data of any kind that `evaluate` reads, to show the effect of smaller weights.
        clients: Whether to write `models.config` and example clients next to the versions.

    Returns:
        The directory of the new version, `base_dir/N`.

    Raises:
        InputError: If an argument is wrong.
        ExportError: If the export did not pass its check; it lists each reason.

    Example:

    ```python
    export_run("runs/flowers", "serving/flowers")  # serving/flowers/1
    ```
    """
    check_export(format, weights, batch_sizes, clients, data)
    base_dir, run_dir = path_of("base_dir", base_dir), path_of("run_dir", run_dir)
    check_place(base_dir)
    check_run(run_dir)
    arguments = [_positional(run_dir), _positional(base_dir), "--json", "--format", format]
    arguments += ["--weights", weights]
    for size in batch_sizes:
        arguments += ["--batch-size", str(size)]
    if data is not None:
        arguments += ["--data", os.fspath(data)]
    if clients:
        arguments.append("--clients")
    if recipe is not None:
        arguments += ["--recipe", path_of_class(recipe), "--recipe-place", str(place_of(recipe))]
    for one in [task] if isinstance(task, type) else task:
        arguments += ["--task", path_of_class(one), "--task-place", str(place_of(one))]
    with tempfile.TemporaryDirectory(prefix="kft-export-") as folder:
        if examples is not None:
            path = Path(folder) / "examples.json"
            path.write_text(encode_examples(examples), encoding="utf-8")
            arguments += ["--examples", str(path)]
        outcome = _run("Exporting", "kft.export", arguments, KERAS_BACKEND="tensorflow")
    if "error" in outcome:
        kinds = {"InputError": InputError, "ExportError": ExportError}
        raise kinds.get(outcome.get("kind", ""), ExportError)(outcome["error"])
    return Path(outcome["version"])


def _positional(path: Path) -> str:
    """Return a path as an argument that is not taken for an option."""
    return os.path.join(".", path) if str(path).startswith("-") else str(path)


def check_export(format: Any, weights: Any, batch_sizes: Any, clients: Any, data: Any) -> None:
    """Check the arguments of `export_run`, before anything is saved.

    Raises:
        InputError: If an argument is wrong.
    """
    check_choice("format", format, FORMATS)
    check_choice("weights", weights, WEIGHTS)
    refuse_float16(format, weights)
    is_list = isinstance(batch_sizes, Sequence) and not isinstance(batch_sizes, str | bytes)
    if not is_list or not batch_sizes or not all(is_whole(size, 1) for size in batch_sizes):
        raise InputError(
            f"`batch_sizes={shown(batch_sizes)}`: pass a list of whole numbers from 1, such as "
            f"{BATCH_SIZES}."
        )
    check_flag("clients", clients)
    if clients and format != "saved_model":
        raise InputError(
            f"`clients=True` with format={format!r}: the clients ask a server of SavedModels, so leave it out."
        )
    if data is not None and not isinstance(data, str | os.PathLike):
        raise InputError(f"`data={shown(data)}`: pass the path of a folder or a table.")


def refuse_float16(format: str, weights: str) -> None:
    """Raise `InputError` for float16 weights if the format would store them in 32 bits."""
    if weights == "float16" and format != "saved_model":
        raise InputError(
            f"weights='float16' with format={format!r}, which would store them in 32 bits "
            "anyway: pass 'float32' and use the format's own tools, or format='saved_model'."
        )


def check_version(directory: str | os.PathLike, *, trusted: bool = False) -> list[str]:
    """Check a version in a new process without Keras, as `python -m kft.export.check` does.

    A version from elsewhere may be damaged or hostile, so it runs only if all its ops merely compute,
    in a process limited in time (ten minutes) and memory.

    Args:
        directory: The version directory, `base_dir/N`.
        trusted: Whether this process has written it, so that time and memory need no limits.

    Returns:
        Why it does not serve, a sentence for each reason; empty if it serves.
    """
    place = _positional(path_of("directory", directory, "a version, such as 'serving/one/1'"))
    arguments = ["--json", place, *([] if trusted else ["--limited"])]
    timeout = None if trusted else CHECK_SECONDS
    outcome = _run("Checking", "kft.export.check", arguments, timeout)
    return outcome.get("reasons") or ([outcome["error"]] if "error" in outcome else [])


def size_of(raw: Raw) -> int:
    """Return the size of a raw input, in bytes or characters."""
    return sum(map(len, raw)) if isinstance(raw, tuple) else len(raw)


def encode_examples(examples: Sequence[Raw]) -> str:
    """Return examples as JSON for `--examples`, or for `examples.json` in a run directory."""
    return json.dumps({"examples": [_encoded(raw) for raw in examples]}, ensure_ascii=False)


def _encoded(raw: Raw) -> Any:
    if isinstance(raw, tuple):
        return [_encoded(one) for one in raw]
    return raw if isinstance(raw, str) else {"base64": base64.b64encode(raw).decode()}


def _decoded(raw: Any) -> Any:
    if isinstance(raw, list):
        return tuple(base64.b64decode(one["base64"], validate=True) for one in raw)
    return raw.encode() if isinstance(raw, str) else base64.b64decode(raw["base64"], validate=True)


def read_examples(path: Path, within: Path | None = None) -> list[Any]:
    """Read the raw inputs in a file that `encode_examples` made; texts as UTF-8.

    Args:
        path: The file.
        within: The directory that must contain it, for a file of a run.

    Raises:
        InputError: If it is damaged or too large.
    """
    found = read_object(path, _LARGEST_EXAMPLES, within=within).get("examples")
    if not isinstance(found, list) or not 0 < len(found) <= _MOST_EXAMPLES:
        raise InputError(f"`{path}` does not hold 1 to {_MOST_EXAMPLES} raw inputs.")
    try:
        return [_decoded(raw) for raw in found]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"`{path}` is damaged ({error}): restore it from a copy.") from error


def _run(
    what: str, module: str, arguments: list[str], timeout: float | None = None, **variables: str
) -> dict:
    """Run a module in a process with the same import paths; return its last line of JSON.

    At a terminal, a bar with the name `what` shows that it is still running.

    It runs on the CPU: a GPU computes matrix products with fewer bits, differently for each batch
    size, and may be busy training.
    """
    variables["CUDA_VISIBLE_DEVICES"] = "-1"
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, **variables, **import_environment()}
    command = python("-m", module, *arguments)
    # A file, since a process may be limited in files.
    with tempfile.TemporaryFile() as messages, Progress(what):
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=messages,
                env=environment,
                check=False,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            return {"error": f"`python -m {module}` took more than {timeout:g} s and was ended"}
        messages.seek(max(0, messages.seek(0, os.SEEK_END) - 2000))
        output = messages.read().decode("utf-8", "replace").strip()
    try:
        outcome = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        outcome = None
    if isinstance(outcome, dict):
        return outcome
    ended = f"by signal {-done.returncode}" if done.returncode < 0 else f"with {done.returncode}"
    return {"error": f"`python -m {module}` ended {ended}:\n{output}"}
