"""The promises of an export: its signatures, their names, types and ranks, and rules between outputs.

The writer and the check derive them from the same description of the answers, which is part of the
metadata, so they cannot disagree.
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kft.answers import Answers, Ranking, Rules, Tensor
from kft.answers.description import FEATURES, MOST_OUTPUTS, STATUS
from kft.errors import InputError

METADATA = "assets.extra/kft.json"
FORMAT = 3  # of the metadata
INPUT = "inputs"  # the name of a single raw input
LARGEST_SCORE_TOLERANCE = 0.1  # with more, a comparison of scores proves nothing
DTYPES = {
    "string": 7,
    "float32": 1,
    "int32": 3,
    "int64": 9,
}  # as TensorFlow's DataType numbers them
METHODS = "tensorflow/serving/"
REGRESSION = "outputs"  # the name that TensorFlow Serving's Regress API requires


@dataclass(frozen=True)
class Signature:
    """One signature of a version.

    Attributes:
        api: The API of the server that answers it: `"predict"`, `"classify"` or `"regress"`.
        inputs: Name to tensor of its inputs; a single one is always named `inputs`.
        answers: Its outputs, without the `status` that the Predict API adds.
    """

    api: str
    inputs: Mapping[str, Tensor]
    answers: Answers

    @property
    def outputs(self) -> dict[str, Tensor]:
        """Name to tensor of all outputs."""
        status = {STATUS: Tensor("string", 1)} if self.api == "predict" else {}
        return {**self.answers.outputs, **status}


@dataclass(frozen=True)
class Description:
    """The description of a version's answers in its metadata.

    Attributes:
        answers: The outputs of `serving_default`.
        features: The outputs of `embed`, float32.
        tensors: The number of axes of the input of `tensors`; None without such a signature.
        inputs: The names of the raw inputs, strings `[n, *shape]`.
        shape: The shape of a raw input's strings; empty for a single string.
    """

    answers: Answers
    features: Answers
    tensors: int | None = None
    inputs: tuple[str, ...] = (INPUT,)
    shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        names = self.inputs
        are_names = all(isinstance(name, str) and name.isidentifier() for name in names)
        if not are_names or not 1 <= len(set(names)) == len(names) <= MOST_OUTPUTS:
            raise InputError(
                f"the inputs {list(names)!r:.100}: expected different Python identifiers."
            )

    def to_json(self) -> dict[str, Any]:
        """Return the description as entries of the metadata."""
        features = {name: one.rank for name, one in self.features.outputs.items()}
        return {
            "answers": self.answers.to_json(),
            "features": features,
            "tensors": self.tensors,
            "inputs": list(self.inputs),
            "shape": list(self.shape),
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> "Description":
        """Return the description in metadata, whose values may be untrusted.

        Raises:
            ValueError, TypeError, LookupError, AttributeError: If they are not a description.
        """
        features = {name: Tensor("float32", rank) for name, rank in facts["features"].items()}
        tensors = facts["tensors"]
        answers = Answers.from_json(facts["answers"])
        rank = tensors if tensors is None else int(tensors)
        inputs = tuple(facts.get("inputs", (INPUT,)))
        shape = tuple(int(size) for size in facts.get("shape", ()))
        return cls(answers, Answers(features), rank, inputs, shape)

    def signatures(self) -> dict[str, Signature]:
        """Return the signatures with these answers, by name."""
        raw = dict.fromkeys(self.inputs, Tensor("string", 1 + len(self.shape)))
        serialized = dict.fromkeys(self.inputs, Tensor("string", 1))
        made = {
            "serving_default": Signature("predict", raw, self.answers),
            "embed": Signature("predict", raw, self.features),
        }
        if self.tensors is not None:
            made["tensors"] = Signature(
                "predict", {INPUT: Tensor("float32", self.tensors)}, self.answers
            )
        if self.answers.rules.classify:
            listed = {name: self.answers.outputs[name] for name in ("classes", "scores")}
            rules = Rules((Ranking("classes", "scores"),))
            made["classify"] = Signature("classify", serialized, Answers(listed, rules))
        if self.answers.rules.regress is not None:
            answers = Answers({REGRESSION: Tensor("float32", 1)})
            made["regress"] = Signature("regress", serialized, answers)
        return made


@dataclass(frozen=True)
class Promises:
    """The promises in the metadata of a version.

    Attributes:
        signatures: Name to signature.
        tolerance: Name of an output to the maximum difference of its numbers from the prediction's.
    """

    signatures: dict[str, Signature]
    tolerance: dict[str, float]


def read(directory: str | os.PathLike) -> Promises:
    """Read the promises of a version.

    Args:
        directory: The version directory.

    Raises:
        FileNotFoundError: If it has no metadata.
        OSError, ValueError, TypeError, LookupError, AttributeError: If it cannot be read.
    """
    facts = read_facts(directory)
    description = Description.from_json(facts)
    tolerance = read_tolerance(facts)
    for ranking in description.answers.rules.rankings:
        allowed = tolerance.get(ranking.scores, 0.0)
        if allowed > LARGEST_SCORE_TOLERANCE:
            raise ValueError(f"a tolerance of {allowed} for {ranking.scores} proves nothing")
    for boxes in description.answers.rules.detections:
        allowed = tolerance.get(boxes.boxes, 0.0)
        if allowed > LARGEST_SCORE_TOLERANCE:
            raise ValueError(f"a tolerance of {allowed} for {boxes.boxes} proves nothing")
    return Promises(description.signatures(), tolerance)


def read_facts(directory: str | os.PathLike) -> dict[str, Any]:
    """Read the metadata of a version.

    Raises:
        FileNotFoundError: If it has none.
        OSError, ValueError, TypeError, LookupError: If it cannot be read.
    """
    text = (Path(directory) / METADATA).read_text(encoding="utf-8")
    try:
        facts = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if facts["format"] != FORMAT:
        raise ValueError(f"format {facts['format']!r:.100}, but this kft reads format {FORMAT}")
    return facts


def read_tolerance(facts: Mapping[str, Any]) -> dict[str, float]:
    """Return the maximum difference of each output from the prediction's, by its name.

    Raises:
        ValueError, TypeError, LookupError, AttributeError: If the metadata have no valid tolerance.
    """
    tolerance = {str(name): float(value) for name, value in facts["tolerance"].items()}
    if not all(math.isfinite(value) and value >= 0 for value in tolerance.values()):
        raise ValueError(f"tolerance {tolerance}, but numbers from 0 are expected")
    return tolerance


def check_names(answers: Answers) -> None:
    """Refuse a task whose outputs have names that every export uses.

    Raises:
        InputError: If there is one.
    """
    for name in answers.outputs:
        if name in (STATUS, FEATURES) or name.startswith(f"{FEATURES}_"):
            raise InputError(
                f"the task answers with an output {name!r}, but each export already has an output "
                "of that name: choose another name."
            )
    if answers.rules.regress is not None and REGRESSION in answers.outputs:
        raise InputError(f"`regress` and an output {REGRESSION!r}: choose another name.")
