"""The hooks of a task that shape a server's answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kft.answers import Ops, Rules


class Served:
    """The hooks from a model's outputs to what a server answers; `kft.tasks.Task` has the others."""

    def answer(self, outputs: Any, classes: Any, ops: Ops) -> dict[str, Any]:
        """Return a server's answer, computed from the model's outputs.

        The same code builds the served graph and the reference that it is checked against, so use only
        `ops`, arithmetic, comparisons and slices. Rows that could not be read are left out; each of
        their outputs is NaN, 0 or an empty string.

        Args:
            outputs: The model's output for the rows that could be read, tensors `[n, ...]` in the
                structure that `head` returned; floats are float32.
            classes: The class names found in training; None if there are none.
            ops: The operations, in NumPy or TensorFlow.

        Returns:
            A dict of output names to tensors `[n, ...]`. Defaults to the unchanged outputs: a dict under
            its own names, a single tensor as `outputs`.
        """
        return dict(outputs) if isinstance(outputs, Mapping) else {"outputs": outputs}

    def quote(self, answer: Mapping[str, Any], raw: Mapping[str, Any], ops: Ops) -> dict[str, Any]:
        """Return additional outputs that quote a request's inputs. Defaults to none.

        Args:
            answer: What `answer` returned, for all rows: 0 in those that could not be read.
            raw: A dict of input names to strings `[n]`, as in the request.
            ops: As for `answer`.
        """
        return {}

    def answer_rules(self) -> Rules:
        """Return how an export's check compares the outputs of `answer`. Defaults to no rules.

        Without a rule, floats are compared up to rounding; integers and strings must be equal.
        """
        return Rules()
