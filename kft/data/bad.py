"""Handling of bad examples: one error that lists them, or a list of those that were skipped."""

from dataclasses import dataclass, field

from kft.arguments import shown as shown_value
from kft.data.examples import Skipped
from kft.data.files import shown
from kft.errors import InputError

__all__ = ["BadExamples"]

_SHOWN = 5


@dataclass
class BadExamples:
    """The bad examples found while a source is read.

    Args:
        source: The name of the data in messages.
        on_bad_example: `"error"` or `"skip"`.

    Raises:
        InputError: `on_bad_example` is something else.
    """

    source: str
    on_bad_example: str = "error"
    found: list[Skipped] = field(default_factory=list)

    def __post_init__(self) -> None:
        value = self.on_bad_example
        if not isinstance(value, str) or value not in ("error", "skip"):
            raise InputError(
                f'on_bad_example={shown_value(value)}, but "error" or "skip" is expected'
            )

    def add(self, name: str, reason: str) -> None:
        """Record a bad example with its name and the reason."""
        self.found.append(Skipped(shown(name), reason))

    def settle(self) -> tuple[Skipped, ...]:
        """Raise an error that lists the bad examples, or return them as skipped.

        Raises:
            InputError: There are bad examples and they are errors.
        """
        if self.found and self.on_bad_example == "error":
            lines = [f"  {bad.name}: {bad.reason}" for bad in self.found[:_SHOWN]]
            if len(self.found) > _SHOWN:
                lines.append(f"  and {len(self.found) - _SHOWN} more")
            number = "1 bad example" if len(self.found) == 1 else f"{len(self.found)} bad examples"
            raise InputError(
                f"{self.source} has {number}:\n" + "\n".join(lines) + "\n"
                'Correct or remove them, or pass on_bad_example="skip" to leave them out.'
            )
        return tuple(self.found)
