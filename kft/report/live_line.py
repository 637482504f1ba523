"""A line of text that is redrawn in place, at a terminal or in a notebook."""

from __future__ import annotations

import shutil
import sys
from typing import Any

from kft.report.terminal import in_notebook

_BEGIN, _END = "\r", "\x1b[K"  # to the first column, and clear the rest of the line


class LiveLine:
    """Show one line on standard output, replacing it with each update.

    Example:

    ```python
    line = LiveLine()
    for number in range(100):
        line.show(f"{number} of 100")
    line.clear()
    ```
    """

    def __init__(self) -> None:
        self._handle: Any = None
        self._shown = False

    def show(self, text: str) -> None:
        """Draw the line, cut to the width of the terminal."""
        if in_notebook():
            self._display(text)
        else:
            width = shutil.get_terminal_size().columns - 1  # in the last column a terminal wraps
            cut = text if len(text) <= width else f"{text[: width - 1]}…"
            sys.stdout.write(f"{_BEGIN}{encodable(cut)}{_END}")
            sys.stdout.flush()
        self._shown = True

    def clear(self) -> None:
        """Remove the line, so that the next output takes its place."""
        if not self._shown:
            return
        if self._handle is not None:
            self._display("")
            self._handle = None
        else:
            sys.stdout.write(f"{_BEGIN}{_END}")
            sys.stdout.flush()
        self._shown = False

    def _display(self, text: str) -> None:
        from IPython.display import display

        content = {"text/plain": text}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)


def bar(share: float, width: int = 16) -> str:
    """Return a bar filled to a fraction, in characters that standard output can encode."""
    full, empty = ("━", "─") if encodable("━─") == "━─" else ("#", "-")
    filled = int(width * min(1.0, max(0.0, share)))
    return full * filled + empty * (width - filled)


def encodable(text: str) -> str:
    """Return a text with a question mark for each character that standard output cannot encode."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)
