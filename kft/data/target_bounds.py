"""The range that the targets of a stream must lie in."""

from dataclasses import dataclass

__all__ = ["Bounds"]


@dataclass(frozen=True)
class Bounds:
    """The range that the targets of a stream must lie in.

    Args:
        low: The smallest value.
        high: The largest value.
        noun: The name of a target in messages.
        expected: The message for a value outside, with the way out.
    """

    low: float
    high: float
    noun: str
    expected: str
