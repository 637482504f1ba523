"""What an export promises: the signatures of each task, their names, types and ranks.

The writer makes them, the check holds a version to them; neither can drift from the other.
"""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

METADATA = "assets.extra/kft.json"
FORMAT = 2  # of the metadata
LARGEST_SCORE_TOLERANCE = 0.1  # beyond it, equal scores mean nothing
LABEL_SEPARATOR = "|"  # between the labels of a multi-label answer, as in the data files
DTYPES = {"string": 7, "float32": 1}  # as TensorFlow's DataType numbers them
METHODS = "tensorflow/serving/"


@dataclass(frozen=True)
class Tensor:
    """The type and the number of axes of an input or output; the first axis is the batch."""

    dtype: str
    rank: int


@dataclass(frozen=True)
class Signature:
    """One way of asking a version.

    Attributes:
        api: The API of the server that answers it: `"predict"`, `"classify"` or `"regress"`.
        inputs: Its one input, which is always named `inputs`.
        outputs: Name to tensor.
    """

    api: str
    inputs: Tensor
    outputs: dict[str, Tensor]


@dataclass(frozen=True)
class Promises:
    """What the metadata of a version promise.

    Attributes:
        signatures: Name to signature.
        tolerance: Name of an output to how far its numbers may be from the prediction's.
        threshold: Score from which on a multi-label model gives a label, None for other tasks.
    """

    signatures: dict[str, Signature]
    tolerance: dict[str, float]
    threshold: float | None


def read(directory: str | os.PathLike) -> Promises:
    """Read what a version promises.

    Args:
        directory: The version directory.

    Raises:
        FileNotFoundError: If it has no metadata.
        OSError, ValueError, TypeError, LookupError: If they cannot be read.
    """
    text = (Path(directory) / METADATA).read_text(encoding="utf-8")
    try:
        facts = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if facts["format"] != FORMAT:
        raise ValueError(f"format {facts['format']!r}, but this kft reads format {FORMAT}")
    tolerance = {str(name): float(value) for name, value in facts["tolerance"].items()}
    if not all(math.isfinite(value) and value >= 0 for value in tolerance.values()):
        raise ValueError(f"tolerance {tolerance}, but numbers from 0 are expected")
    if tolerance.get("scores", 0.0) > LARGEST_SCORE_TOLERANCE:
        raise ValueError(f"a tolerance of {tolerance['scores']} for scores proves nothing")
    threshold = facts.get("threshold")
    return Promises(
        promised(facts["task"], facts["modality"], int(facts["targets"])),
        tolerance,
        None if threshold is None else float(threshold),
    )


def tolerance(task: str, scores: float, features: float) -> dict[str, float]:
    """Return how far each output that holds numbers may be from the prediction's, by its name.

    Args:
        task: `"single_label"`, `"multi_label"` or `"regression"`.
        scores: What is allowed for the model's output.
        features: What is allowed for what enters its head.
    """
    names = ("value", "outputs") if task == "regression" else ("scores",)
    return {**dict.fromkeys(names, scores), "features": features}


def promised(task: str, modality: str, targets: int) -> dict[str, Signature]:
    """Return the signatures of an export, by name.

    Args:
        task: `"single_label"`, `"multi_label"` or `"regression"`.
        modality: `"image"` or `"text"`.
        targets: The number of classes, or of values that a regression predicts.
    """
    raw, status = Tensor("string", 1), {"status": Tensor("string", 1)}
    if task == "regression":
        answer = {"value": Tensor("float32", 1 if targets == 1 else 2), **status}
    else:
        answer = {
            "classes": Tensor("string", 2),
            "scores": Tensor("float32", 2),
            "label": Tensor("string", 1),
            **status,
        }
    signatures = {
        "serving_default": Signature("predict", raw, answer),
        "embed": Signature("predict", raw, {"features": Tensor("float32", 2), **status}),
    }
    if modality == "image":
        signatures["tensors"] = Signature("predict", Tensor("float32", 4), answer)
    if task != "regression":
        listed = {name: answer[name] for name in ("classes", "scores")}
        signatures["classify"] = Signature("classify", raw, listed)
    elif targets == 1:
        signatures["regress"] = Signature("regress", raw, {"outputs": Tensor("float32", 1)})
    return signatures
