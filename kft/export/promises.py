"""What an export promises: its signatures, their names, types and ranks, and what follows from what.

The writer makes them from a description of the answers that it keeps in the metadata; the check holds a
version to what the metadata say. Neither can drift from the other.
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
INPUT = "inputs"  # how a single raw input is called
LARGEST_SCORE_TOLERANCE = 0.1  # beyond it, equal scores mean nothing
DTYPES = {
    "string": 7,
    "float32": 1,
    "int32": 3,
    "int64": 9,
}  # as TensorFlow's DataType numbers them
METHODS = "tensorflow/serving/"
REGRESSION = "outputs"  # how TensorFlow Serving's Regress API calls its output


@dataclass(frozen=True)
class Signature:
    """One way of asking a version.

    Attributes:
        api: The API of the server that answers it: `"predict"`, `"classify"` or `"regress"`.
        inputs: Name to tensor of its inputs; a single one is always named `inputs`.
        answers: Its outputs, without `status`, which the Predict API's have besides.
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
    """What the metadata say of a version's answers.

    Attributes:
        answers: What `serving_default` answers.
        features: What `embed` answers, float32.
        tensors: How many axes the input of `tensors` has; None where there is no such signature.
        inputs: The names of the raw inputs, strings `[n, *shape]`.
        shape: How many strings a raw input is; none for one.
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
        """Return what `to_json` described; the values may come from a stranger.

        Raises:
            ValueError, TypeError, LookupError, AttributeError: If they are no description.
        """
        features = {name: Tensor("float32", rank) for name, rank in facts["features"].items()}
        tensors = facts["tensors"]
        answers = Answers.from_json(facts["answers"])
        rank = tensors if tensors is None else int(tensors)
        inputs = tuple(facts.get("inputs", (INPUT,)))
        shape = tuple(int(size) for size in facts.get("shape", ()))
        return cls(answers, Answers(features), rank, inputs, shape)

    def signatures(self) -> dict[str, Signature]:
        """Return the signatures that offer these answers, by name."""
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
    """What the metadata of a version promise.

    Attributes:
        signatures: Name to signature.
        tolerance: Name of an output to how far its numbers may be from the prediction's.
    """

    signatures: dict[str, Signature]
    tolerance: dict[str, float]


def read(directory: str | os.PathLike) -> Promises:
    """Read what a version promises.

    Args:
        directory: The version directory.

    Raises:
        FileNotFoundError: If it has no metadata.
        OSError, ValueError, TypeError, LookupError, AttributeError: If they cannot be read.
    """
    facts = read_facts(directory)
    description = Description.from_json(facts)
    tolerance = read_tolerance(facts)
    for ranking in description.answers.rules.rankings:
        allowed = tolerance.get(ranking.scores, 0.0)
        if allowed > LARGEST_SCORE_TOLERANCE:
            raise ValueError(f"a tolerance of {allowed} for {ranking.scores} proves nothing")
    return Promises(description.signatures(), tolerance)


def read_facts(directory: str | os.PathLike) -> dict[str, Any]:
    """Read the metadata of a version.

    Raises:
        FileNotFoundError: If it has none.
        OSError, ValueError, TypeError, LookupError: If they cannot be read.
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
    """Return how far each output may be from the prediction's, by its name.

    Raises:
        ValueError, TypeError, LookupError, AttributeError: If the metadata do not say so.
    """
    tolerance = {str(name): float(value) for name, value in facts["tolerance"].items()}
    if not all(math.isfinite(value) and value >= 0 for value in tolerance.values()):
        raise ValueError(f"tolerance {tolerance}, but numbers from 0 are expected")
    return tolerance


def check_names(answers: Answers) -> None:
    """Refuse outputs of a task that are called as outputs of every export.

    Raises:
        InputError: If there is one.
    """
    for name in answers.outputs:
        if name in (STATUS, FEATURES) or name.startswith(f"{FEATURES}_"):
            raise InputError(
                f"the task answers with an output {name!r}, but each export has one of its own that "
                "is called so: choose another name."
            )
    if answers.rules.regress is not None and REGRESSION in answers.outputs:
        raise InputError(f"`regress` and an output {REGRESSION!r}: choose another name.")
