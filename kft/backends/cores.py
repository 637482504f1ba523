"""The number of cores and threads that this process may use."""

import os


def named_threads(variable: str) -> int:
    """Return the number in an environment variable, 0 if there is none."""
    value = os.environ.get(variable, "")
    return int(value) if value.isdecimal() else 0


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
