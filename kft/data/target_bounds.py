"""The numbers that the targets of a stream have to lie within."""

from dataclasses import dataclass

__all__ = ["Bounds"]


@dataclass(frozen=True)
class Bounds:
    """The numbers that the targets of a stream lie within.

    Args:
        low: The least.
        high: The largest.
        noun: What to call a target in a message.
        expected: What to say of a number outside, with the way out.
    """

    low: float
    high: float
    noun: str
    expected: str
