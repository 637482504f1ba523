"""Detection of the output: a terminal, a notebook, or a log file."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def in_notebook() -> bool:
    """Return whether this Python is the kernel of a notebook."""
    if "IPython" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    return hasattr(get_ipython(), "kernel")


def shows_progress(stream: TextIO | None = None) -> bool:
    """Return whether to show bars that redraw themselves: not in a log file, nor with NO_COLOR.

    NO_COLOR (https://no-color.org) asks for text without escape sequences, which bars need.

    Args:
        stream: The stream for the bars. Defaults to standard output.
    """
    if os.environ.get("NO_COLOR"):
        return False
    return in_notebook() or (sys.stdout if stream is None else stream).isatty()
