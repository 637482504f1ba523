"""The base class of evaluations of classifiers: classes, calibration and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from kft.arguments import dict_of, shown
from kft.errors import InputError
from kft.printing import number
from kft.tasks.evaluation import plots
from kft.tasks.evaluation.base import Evaluation
from kft.tasks.evaluation.calibration import ReliabilityBin
from kft.tasks.evaluation.class_metrics import ClassMetrics
from kft.tasks.evaluation.content import Chart, Mistakes, Section, Table, Text
from kft.tasks.evaluation.operating_point import OperatingPoint, operating_point
from kft.tasks.evaluation.rows import Rows

MAX_CLASSES = 30
MAX_CLASSES_ON_A_PAGE = 100
MAX_MISTAKES = 12
CLASS_COLUMNS = ("precision", "recall", "F1", "ROC AUC", "avg. precision", "examples", "predicted")


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ClassEvaluation(Evaluation):
    """The base class of evaluations of classifiers; see `SingleLabelEvaluation`."""

    kind: ClassVar[str]

    rows: Rows
    classes: tuple[str, ...]
    precision: float | None
    recall: float | None
    f1: float | None
    roc_auc: float | None
    calibration_error: float
    per_class: tuple[ClassMetrics, ...]
    reliability: tuple[ReliabilityBin, ...]

    @property
    def scores(self) -> np.ndarray:
        """The model's scores, float64 `(n, classes)`, read-only; for many examples read from a file."""
        return self.rows.read(slice(len(self.classes)))

    @property
    def title(self) -> str:
        """What was evaluated, in one line."""
        return f"{self.kind}, {self._counted}, {len(self.classes)} classes"

    def one_against_rest(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return whether each example belongs to a class, and its score for it, both `(n,)`.

        Args:
            index: Number of the class.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `one_against_rest(index)`.")

    def operating_point(
        self,
        name: str,
        *,
        specificity: float | None = None,
        sensitivity: float | None = None,
        threshold: float | None = None,
        groups: Mapping[str, Any] | None = None,
    ) -> OperatingPoint:
        """Return sensitivity and specificity of one class at a threshold of its score.

        A threshold looks too good on the data on which it was chosen: choose it on validation data
        by `specificity` or `sensitivity`, and pass it as `threshold` to the evaluation of the test
        data.

        Args:
            name: The class.
            specificity: Use the lowest threshold at which at least this fraction of the other
                examples, from 0 to 1, scores less.
            sensitivity: Use the highest threshold that at least this fraction of the examples of the
                class, from 0 to 1, reaches.
            threshold: Use this score, from 0 to 1, or infinity, at which nothing is called.
            groups: Groups of the examples, such as `{"sex": table["sex"]}`, each evaluated at the
                same threshold. A grouping has one value for each of `examples`, in their order;
                missing values are the group "(missing)".
                Defaults to none.

        Returns:
            The figures with 95 % intervals (Wilson), printed as tables and drawn by `plot()`.

        Raises:
            InputError: If there is no such class; if not exactly one of `specificity`,
                `sensitivity` and `threshold` is given, or it is not a fraction; if the data have no
                examples that determine the threshold; or if a grouping does not have one value per
                example.

        Example:

        ```python
        chosen = recipe.evaluate("val.csv").operating_point("melanoma", specificity=0.9)
        recipe.evaluate("test.csv").operating_point("melanoma", threshold=chosen.threshold)
        ```
        """
        if not isinstance(name, str) or name not in self.classes:
            known = ", ".join(map(repr, self.classes[:MAX_CLASSES]))
            raise InputError(f"`name={shown(name)}` is not a class: pass one of {known}.")
        truth, scores = self.one_against_rest(self.classes.index(name))
        aims = {"specificity": specificity, "sensitivity": sensitivity, "threshold": threshold}
        return operating_point(
            name, truth.astype(bool), scores, aims, dict_of("groups", groups), self.examples
        )

    def tables(self) -> tuple[Table, ...]:
        """Return the figures, and those of each class, or of the 30 classes with the lowest F1."""
        return (*super().tables(), self._by_class(MAX_CLASSES))

    def sections(self) -> tuple[Section, ...]:
        """Return the classes, the curves and the worst mistakes."""
        return (self._classes_section(), self._curves_section(), self._mistakes_section())

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain dicts, lists, strings and numbers, without the scores."""
        return {
            **super().to_dict(),
            "classes": list(self.classes),
            "per_class": [asdict(one) for one in self.per_class],
            "reliability": [asdict(one) for one in self.reliability],
        }

    def _by_class(self, limit: int, ending: str = "") -> Table:
        """Return all classes in their order, or the `limit` with the lowest F1 if there are more."""
        chosen: Sequence[ClassMetrics] = self.per_class
        caption = "By class"
        if len(chosen) > limit:
            caption = f"The {limit} classes of {len(chosen)} with the lowest F1"
            chosen = sorted(chosen, key=lambda one: (one.f1 is None, one.f1))[:limit]
        rows = tuple(tuple(asdict(one).values()) for one in chosen)
        return Table(f"{caption}{ending}", ("class", *CLASS_COLUMNS), rows)

    def _classes_section(self) -> Section:
        table = self._by_class(MAX_CLASSES_ON_A_PAGE, ": each against the rest")
        missing = tuple(one.name for one in self.per_class if not one.support)
        if not missing:
            return Section("classes", "By class", (table,))
        ending = " ..." if len(missing) > 10 else "."
        notice = Text("Not in the evaluated data: ", missing[:10], ending, is_notice=True)
        return Section("classes", "By class", (notice, table))

    def _curves_section(self) -> Section:
        error = number(self.calibration_error)
        charts = [
            Chart(
                "Reliability",
                "Bars on the dashed line are calibrated; "
                f"expected calibration error {error}, 15 bins.",
                plots.reliability(self),
            )
        ]
        for title, draw, figure, label in (
            ("ROC", plots.roc, "roc_auc", "area"),
            ("Precision and recall", plots.precision_recall, "average_precision", "avg. precision"),
        ):
            shown = plots.colored(self, figure)
            if not shown:
                continue
            rest = " The weakest are in colour." if len(shown) < len(self.classes) else ""
            description = f"Each class against the rest, with its {label}.{rest}"
            legend = tuple((self.classes[i], getattr(self.per_class[i], figure)) for i in shown)
            charts.append(Chart(title, description, draw(self, with_legend=False), legend))
        return Section("curves", "Confidence and ranking", tuple(charts))

    def _mistakes_section(self) -> Section:
        found = Mistakes(
            self.mistakes(MAX_MISTAKES),
            "predicted {predicted} ({size} sure), is {expected}",
            ".1%",
        )
        return Section("mistakes", "Most confident mistakes", (found,))
