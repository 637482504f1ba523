"""Which settings decide what a run computes, and so identify it."""

from __future__ import annotations

import dataclasses
from typing import Any


def may_change(reason: str) -> dict[str, str]:
    """Return the metadata of a field that is no part of a run's identity.

    Args:
        reason: Why an unfinished run may go on, and a finished one be loaded, with another value.
    """
    return {"may_change": reason}


def identity(policy: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that decide what a fit computes.

    Args:
        policy: The dataclass; its fields' metadata say which may change.
    """
    return {
        field.name: getattr(policy, field.name)
        for field in dataclasses.fields(policy)
        if "may_change" not in field.metadata
    }
