"""What the answers of an export are: names, types, ranks, and what follows from what.

The writer keeps the description in the metadata of a version; the check, the warmup requests and the
clients read it there. It is data: a description of a stranger is checked, and nothing of it is run.
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
STATUS = "status"  # why a row is bad; every answer has it
FEATURES = "features"  # what `embed` answers with begins so


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
    """Classes sorted by their scores, and a label that follows from both.

    Where rounding decides which class comes first, an answer may differ from the expected one.

    Args:
        classes: The output with the names of the classes, the best one first, strings `[n, k]`.
        scores: The output with their scores, float32 `[n, k]`.
        label: The output with the label, strings `[n]`; None where there is none.
        threshold: The score from which on a class is one of several labels, which `label` joins by
            `|`; None where `label` is the best class. Defaults to None.
    """

    classes: str
    scores: str
    label: str | None = None
    threshold: float | None = None

    def prefixed(self, prefix: str) -> Ranking:
        """Return the ranking of outputs whose names begin with a prefix."""
        label = None if self.label is None else prefix + self.label
        return Ranking(prefix + self.classes, prefix + self.scores, label, self.threshold)


@dataclass(frozen=True)
class Rules:
    """What is known of a task's answer beyond names and types.

    An export must give the prediction's numbers up to rounding, and its integers and strings exactly,
    save for those that a rule lets follow from numbers.

    Args:
        rankings: Outputs that are sorted by scores. Defaults to none.
        largest: Output of integers `[...]` to the float32 output `[..., k]` of whose last axis it
            names the largest value's place. Defaults to none.
        pictures: Outputs of strings `[n]` that are PNG files of one channel, whose pixels are compared
            rather than their bytes: as many may differ as rounding explains. Defaults to none.
        classify: Whether TensorFlow Serving's Classify API can give the answer; its outputs
            `classes` and `scores` are a ranking then. Defaults to False.
        regress: The output, float32 `[n]`, that the Regress API can give. Defaults to none.
    """

    rankings: tuple[Ranking, ...] = ()
    largest: Mapping[str, str] = field(default_factory=dict)
    pictures: tuple[str, ...] = ()
    classify: bool = False
    regress: str | None = None

    def prefixed(self, prefix: str) -> Rules:
        """Return the rules of outputs whose names begin with a prefix, one part of an answer."""
        return Rules(
            tuple(ranking.prefixed(prefix) for ranking in self.rankings),
            {prefix + name: prefix + of for name, of in self.largest.items()},
            tuple(prefix + name for name in self.pictures),
        )


@dataclass(frozen=True)
class Answers:
    """The outputs of an answer, without `status`, and the rules among them.

    Args:
        outputs: Name to tensor, at least one.
        rules: What follows from what. Defaults to nothing.

    Raises:
        InputError: If a name cannot be one of an output, or a rule does not fit its outputs.
    """

    outputs: Mapping[str, Tensor]
    rules: Rules = Rules()

    def __post_init__(self) -> None:
        if not 1 <= len(self.outputs) <= MOST_OUTPUTS:
            raise InputError(
                f"an answer of {len(self.outputs)} outputs: 1 to {MOST_OUTPUTS} can be."
            )
        for name in self.outputs:
            is_name = isinstance(name, str) and name.isidentifier() and len(name) <= LONGEST_NAME
            if not is_name:
                raise InputError(
                    f"{name!r:.100} cannot be the name of an output: pass a Python identifier of at "
                    f"most {LONGEST_NAME} letters."
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
        """The outputs that a rule lets follow from others; all others are compared themselves."""
        rankings = self.rules.rankings
        listed = (*(r.classes for r in rankings), *(r.label for r in rankings), *self.rules.largest)
        return tuple(name for name in listed if name is not None)

    @property
    def shown(self) -> tuple[str, ...]:
        """The outputs that a person reads: no pictures, and a label for what it was chosen from."""
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
            "classify": self.rules.classify,
            "regress": self.rules.regress,
        }

    @classmethod
    def from_json(cls, described: Any) -> Answers:
        """Return what `to_json` described; the values may come from a stranger.

        Raises:
            ValueError, TypeError, LookupError, AttributeError: If they are no description.
        """
        found = dict(described)
        outputs = {name: Tensor(**one) for name, one in found.pop("outputs").items()}
        rankings = found.pop("rankings")
        if not isinstance(rankings, list) or len(rankings) > MOST_OUTPUTS:
            raise ValueError(f"the rankings {rankings!r:.100}, but a short list is expected")
        if not isinstance(found["classify"], bool):
            raise ValueError(f"classify={found['classify']!r:.100}, but true or false is expected")
        largest, pictures = dict(found.pop("largest")), tuple(found.pop("pictures", ()))
        ranked = tuple(Ranking(**one) for one in rankings)
        return cls(outputs, Rules(ranked, largest, pictures, **found))

    def _check_ranking(self, ranking: Ranking) -> None:
        self._expect(ranking.classes, "string", 2)
        self._expect(ranking.scores, "float32", 2)
        if ranking.label is not None:
            self._expect(ranking.label, "string", 1)
        threshold = ranking.threshold
        is_number = isinstance(threshold, (int, float)) and not isinstance(threshold, bool)
        if threshold is not None and not (is_number and math.isfinite(threshold)):
            raise InputError(f"the threshold {threshold!r:.100} of {ranking.label!r} is no number.")

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
