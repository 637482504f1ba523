"""What a task says of the answers of a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kft.answers import Ops, Rules


class Served:
    """The hooks from a model's outputs to what a server answers; `kft.tasks.Task` has the others."""

    def answer(self, outputs: Any, classes: Any, ops: Ops) -> dict[str, Any]:
        """Return what a server answers, from what the model puts out.

        The same code makes the served graph and what that graph is compared with: use `ops`,
        arithmetic, comparisons and slices. A row that cannot be read is not among these; it is
        answered with NaN, 0 or an empty string in each output.

        Args:
            outputs: The model's output for the rows that could be read, tensors `[n, ...]` in the
                structure that `head` returned; floats are float32.
            classes: The recipe's class names, as training found them; None where there are none.
            ops: The operations, of NumPy or of TensorFlow.

        Returns:
            Name of an output to tensor `[n, ...]`. Defaults to the outputs as they are: a dict by its
            own names, a single tensor as `outputs`.
        """
        return dict(outputs) if isinstance(outputs, Mapping) else {"outputs": outputs}

    def quote(self, answer: Mapping[str, Any], raw: Mapping[str, Any], ops: Ops) -> dict[str, Any]:
        """Return further outputs of a server that are cut out of what it was given. Defaults to none.

        Args:
            answer: What `answer` returned, for all rows: 0 in those that could not be read.
            raw: Name of an input to its strings `[n]`, as they were given.
            ops: As for `answer`.
        """
        return {}

    def answer_rules(self) -> Rules:
        """Return which outputs of `answer` follow from others. Defaults to none.

        Without a rule numbers are compared up to rounding; integers and strings must be equal.
        """
        return Rules()
