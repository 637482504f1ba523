"""The function `evaluate`, which computes an `Evaluation` of arrays of targets and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kft.errors import InputError
from kft.tasks.evaluation.base import Evaluation
from kft.tasks.evaluation.multi_label import MultiLabelScorer
from kft.tasks.evaluation.regression import RegressionScorer
from kft.tasks.evaluation.scorer import Scorer
from kft.tasks.evaluation.single_label import SingleLabelScorer

if TYPE_CHECKING:
    from kft.tasks.task import Task


def evaluate(
    targets: Any, scores: Any, *, task: str | Task, classes: Sequence[str] | None = None
) -> Evaluation:
    """Evaluate a model's scores against the labels of the same examples.

    ```python
    scores = model.predict(images)
    evaluation = evaluate(labels, scores, task="single_label", classes=["cat", "dog"])
    print(evaluation)
    evaluation.accuracy, evaluation.per_class[0].recall
    ```

    Args:
        targets: For "single_label" class indices `[n]` or one-hot `[n, k]`; for "multi_label" 0 and
            1, `[n, k]`; for "regression" numbers `[n]` or `[n, d]`; for a `Task` its own targets.
        scores: The model's outputs: probabilities `[n, k]` (for a single label each row sums to 1
            within 0.01, or for two classes one column, the probability of the second), or predicted
            numbers `[n]` or `[n, d]`; for a `Task` the outputs of its head.
        task: A `kft.tasks.Task`, or "single_label", "multi_label" or "regression".
        classes: Names in the order of the columns. Defaults to "0", "1", ...; not for regression.

    Returns:
        A `SingleLabelEvaluation`, `MultiLabelEvaluation` or `RegressionEvaluation`, or the
        evaluation of the task.

    Raises:
        InputError: If there are no examples, values are NaN or infinite, shapes do not match, a
            target is not a class index, or scores are not probabilities.
    """
    scorer = _scorer(task, classes)
    scorer.update(targets, scores)
    return scorer.result()


def _scorer(task: str | Task, classes: Sequence[str] | None) -> Scorer:
    if task == "single_label":
        return SingleLabelScorer(classes)
    if task == "multi_label":
        return MultiLabelScorer(classes)
    if task == "regression":
        if classes is not None:
            raise InputError(
                f"classes={classes!r} for task='regression': numbers have no classes; leave it out"
            )
        return RegressionScorer()
    if isinstance(task, str):
        raise InputError(
            f"task={task!r}: expected 'single_label', 'multi_label', 'regression' or a Task"
        )
    return task.scorer(classes)
