"""The peak main memory of this process."""

from __future__ import annotations

import sys


def host_peak() -> int | None:
    """Return the peak bytes of main memory of the process so far; None if the system does not count."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024
