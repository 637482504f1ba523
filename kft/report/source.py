"""The data of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kft.data.examples import Examples
    from kft.tasks import Evaluation


@dataclass(frozen=True)
class Source:
    """Everything known about a run; see `write_report`."""

    history: Mapping[str, Sequence[Any]]
    stages_table_html: str
    evaluation: Evaluation | None
    examples: Examples | None
    facts: Mapping[str, Any]
    journal: Mapping[str, Any] | None = None
