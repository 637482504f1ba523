"""The description of an export's answers: names, types, ranks, and relations between outputs.

The export stores it in the metadata of a version, where the check, the warmup requests and the
clients read it. It is only data: an untrusted description is checked, and nothing in it is executed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kft.answers.ops import DTYPES
from kft.errors import InputError

MOST_OUTPUTS = 100
MOST_AXES = 8
LONGEST_NAME = 100
STATUS = "status"  # the output of every answer that says why a row is bad
FEATURES = "features"  # prefix of the outputs of `embed`


@dataclass(frozen=True)
class Tensor:
    """The type and the number of axes of an input or output; the first axis is the batch.

    Args:
        dtype: `"float32"`, `"int32"`, `"int64"` or `"string"`.
        rank: The number of axes, from 1.
    """

    dtype: str
    rank: int

    def __post_init__(self) -> None:
        is_rank = isinstance(self.rank, int) and not isinstance(self.rank, bool)
        if self.dtype not in DTYPES or not is_rank or not 1 <= self.rank <= MOST_AXES:
            raise InputError(
                f"a tensor of the type {self.dtype!r:.100} with {self.rank!r:.100} axes: expected one "
                f"of {', '.join(DTYPES)} with 1 to {MOST_AXES} axes."
            )


@dataclass(frozen=True)
class Ranking:
    """Classes sorted by their scores, and the label that is derived from both.

    An answer may differ from the expected one where rounding decides which class comes first.

    Args:
        classes: The output with the class names, the best first, strings `[n, k]`.
        scores: The output with their scores, float32 `[n, k]`.
        label: The output with the label, strings `[n]`; None if there is none.
        threshold: The least score of the labels, which `label` joins by `|`; None if `label` is the
            best class. Defaults to None.
    """

    classes: str
    scores: str
    label: str | None = None
    threshold: float | None = None

    def prefixed(self, prefix: str) -> Ranking:
        """Return the same ranking for outputs whose names have a prefix."""
        label = None if self.label is None else prefix + self.label
        return Ranking(prefix + self.classes, prefix + self.scores, label, self.threshold)


@dataclass(frozen=True)
class Detections:
    """Boxes of an image as a set, of which rounding may move each one a little.

    A box may be missing if its score is as close to the least one as the tolerance, or its overlap with a
    box of its label to the one above which it is left out.

    Args:
        boxes: The output with their sides, float32 `[n, k, 4]`.
        scores: The output with their scores, float32 `[n, k]`; 0 behind the last box.
        labels: The output with the names of their classes, strings `[n, k]`.
        count: The output with the number of boxes, int32 `[n]`.
        least: The score above which a box is answered. Defaults to 0.
        overlap: The intersection over union with a better box of its label above which a box is left
            out. Defaults to 1.
    """

    boxes: str
    scores: str
    labels: str
    count: str
    least: float = 0.0
    overlap: float = 1.0

    def prefixed(self, prefix: str) -> Detections:
        """Return the boxes of outputs whose names begin with a prefix."""
        boxes, scores, labels, count = (prefix + name for name in self.names)
        return dataclasses.replace(self, boxes=boxes, scores=scores, labels=labels, count=count)

    @property
    def names(self) -> tuple[str, str, str, str]:
        """The outputs."""
        return self.boxes, self.scores, self.labels, self.count


@dataclass(frozen=True)
class Rules:
    """Relations between the outputs of a task's answer.

    An export must reproduce the prediction's numbers up to rounding, and its integers and strings
    exactly, except for those that are derived from numbers by a rule.

    Args:
        rankings: Outputs that are sorted by scores. Defaults to none.
        largest: For integer outputs `[...]` the float32 output `[..., k]` of which they are the
            argmax over the last axis. Defaults to none.
        pictures: Outputs of strings `[n]` that are PNG files of one channel, of which pixels are
            compared and not bytes; as many may differ as rounding explains. Defaults to none.
        detections: Boxes that are compared as a set, in any order. Defaults to none.
        classify: Whether TensorFlow Serving's Classify API can return the answer, whose outputs
            `classes` and `scores` must be a ranking. Defaults to False.
        regress: The output, float32 `[n]`, for the Regress API. Defaults to none.
    """

    rankings: tuple[Ranking, ...] = ()
    largest: Mapping[str, str] = field(default_factory=dict)
    pictures: tuple[str, ...] = ()
    detections: tuple[Detections, ...] = ()
    classify: bool = False
    regress: str | None = None

    def prefixed(self, prefix: str) -> Rules:
        """Return the same rules for outputs whose names have a prefix, as parts of an answer do."""
        return Rules(
            tuple(ranking.prefixed(prefix) for ranking in self.rankings),
            {prefix + name: prefix + of for name, of in self.largest.items()},
            tuple(prefix + name for name in self.pictures),
            tuple(one.prefixed(prefix) for one in self.detections),
        )


@dataclass(frozen=True)
class Answers:
    """The outputs of an answer, without `status`, and the relations between them.

    Args:
        outputs: Tensors by name, at least one.
        rules: The relations between outputs. Defaults to none.

    Raises:
        InputError: A name is not valid for an output, or a rule does not match its outputs.
    """

    outputs: Mapping[str, Tensor]
    rules: Rules = Rules()

    def __post_init__(self) -> None:
        if not 1 <= len(self.outputs) <= MOST_OUTPUTS:
            raise InputError(
                f"an answer has {len(self.outputs)} outputs, but 1 to {MOST_OUTPUTS} are expected."
            )
        for name in self.outputs:
            is_name = isinstance(name, str) and name.isidentifier() and len(name) <= LONGEST_NAME
            if not is_name:
                raise InputError(
                    f"{name!r:.100} cannot be the name of an output: pass a Python identifier of at "
                    f"most {LONGEST_NAME} characters."
                )
        for ranking in self.rules.rankings:
            self._check_ranking(ranking)
        for name, of in self.rules.largest.items():
            found, source = self._found(name), self._found(of)
            if found.dtype not in ("int32", "int64") or source != Tensor("float32", found.rank + 1):
                raise InputError(
                    f"{name!r} cannot name the largest of {of!r}: pass integers [...] of float32 "
                    "[..., k]."
                )
        for name in self.rules.pictures:
            self._expect(name, "string", 1)
        for found_boxes in self.rules.detections:
            self._check_detections(found_boxes)
        names = [(one.classes, one.scores) for one in self.rules.rankings]
        if self.rules.classify and ("classes", "scores") not in names:
            raise InputError("`classify` without a ranking of 'classes' and 'scores': add one.")
        if self.rules.regress is not None:
            self._expect(self.rules.regress, "float32", 1)
        follows = self.following
        if len(follows) != len(set(follows)):
            raise InputError(f"two rules for one of the outputs {sorted(follows)}: leave one.")

    @property
    def following(self) -> tuple[str, ...]:
        """The outputs that a rule derives from others; all others are compared directly."""
        rankings = self.rules.rankings
        boxes = (name for one in self.rules.detections for name in one.names)
        ranked = (name for one in rankings for name in (one.classes, one.label))
        listed = (*ranked, *self.rules.largest, *boxes)
        return tuple(name for name in listed if name is not None)

    @property
    def shown(self) -> tuple[str, ...]:
        """The outputs to show: without pictures, and a label in place of its ranking."""
        details = {
            name for one in self.rules.rankings if one.label for name in (one.classes, one.scores)
        } | set(self.rules.pictures)
        return tuple(name for name in self.outputs if name not in details)

    def to_json(self) -> dict[str, Any]:
        """Return the description as JSON values."""
        return {
            "outputs": {name: dataclasses.asdict(one) for name, one in self.outputs.items()},
            "rankings": [dataclasses.asdict(ranking) for ranking in self.rules.rankings],
            "largest": dict(self.rules.largest),
            "pictures": list(self.rules.pictures),
            "detections": [dataclasses.asdict(one) for one in self.rules.detections],
            "classify": self.rules.classify,
            "regress": self.rules.regress,
        }

    @classmethod
    def from_json(cls, described: Any) -> Answers:
        """Return the answers from the values of `to_json`, which may be untrusted.

        Raises:
            ValueError, TypeError, LookupError, AttributeError: They are not a description.
        """
        found = dict(described)
        outputs = {name: Tensor(**one) for name, one in found.pop("outputs").items()}
        rankings = found.pop("rankings")
        if not isinstance(rankings, list) or len(rankings) > MOST_OUTPUTS:
            raise ValueError(f"the rankings {rankings!r:.100}, but a short list is expected")
        if not isinstance(found["classify"], bool):
            raise ValueError(f"classify={found['classify']!r:.100}, but true or false is expected")
        largest, pictures = dict(found.pop("largest")), tuple(found.pop("pictures", ()))
        boxes = tuple(Detections(**one) for one in found.pop("detections", ()))
        ranked = tuple(Ranking(**one) for one in rankings)
        return cls(outputs, Rules(ranked, largest, pictures, boxes, **found))

    def _check_ranking(self, ranking: Ranking) -> None:
        self._expect(ranking.classes, "string", 2)
        self._expect(ranking.scores, "float32", 2)
        if ranking.label is not None:
            self._expect(ranking.label, "string", 1)
        threshold = ranking.threshold
        is_number = isinstance(threshold, (int, float)) and not isinstance(threshold, bool)
        if threshold is not None and not (is_number and math.isfinite(threshold)):
            raise InputError(
                f"the threshold {threshold!r:.100} of {ranking.label!r} is not a number."
            )

    def _check_detections(self, found: Detections) -> None:
        self._expect(found.boxes, "float32", 3)
        self._expect(found.scores, "float32", 2)
        self._expect(found.labels, "string", 2)
        self._expect(found.count, "int32", 1)
        for value in (found.least, found.overlap):
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not is_number or not math.isfinite(value):
                raise InputError(f"the limit {value!r:.100} of {found.boxes!r} is no number.")

    def _expect(self, name: str, dtype: str, rank: int) -> None:
        if self._found(name) != Tensor(dtype, rank):
            raise InputError(
                f"{name!r} is {self._found(name)}, but its rule needs {dtype} with {rank} axes."
            )

    def _found(self, name: str) -> Tensor:
        if not isinstance(name, str) or name not in self.outputs:
            raise InputError(
                f"a rule names the output {name!r:.100}; there are: {', '.join(self.outputs)}."
            )
        return self.outputs[name]
