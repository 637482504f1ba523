"""The identity of a run: the settings that affect its result."""

from __future__ import annotations

import dataclasses
from typing import Any


def may_change(reason: str) -> dict[str, str]:
    """Return the metadata of a field that is not part of a run's identity.

    Args:
        reason: Why a run can be resumed or loaded with another value.
    """
    return {"may_change": reason}


def identity(policy: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that affect the result of a fit.

    Args:
        policy: The dataclass; the metadata of fields say which may change.
    """
    return {
        field.name: getattr(policy, field.name)
        for field in dataclasses.fields(policy)
        if "may_change" not in field.metadata
    }
