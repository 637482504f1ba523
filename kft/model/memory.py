"""How much main memory this process has needed at most so far."""

from __future__ import annotations

import sys


def host_peak() -> int | None:
    """Most bytes of main memory that the process has held so far; None where nobody counts them."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024
