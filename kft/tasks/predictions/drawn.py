"""Predicted pictures as HTML in a notebook."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from html import escape

from PIL import Image

from kft.tasks.predictions.base import line

__all__ = ["figures"]

_MOST = 20  # images in a notebook


def figures(names: Sequence[str], picture: Callable[[int], Image.Image], below: str = "") -> str:
    """Return the first pictures as HTML, each over its name, and how many are left out.

    Args:
        names: The name of each picture.
        picture: Returns the picture at an index.
        below: HTML between the pictures and the number of those that are left out. Defaults to nothing.
    """
    drawn = "".join(
        f'<figure style="display:inline-block;margin:.3em"><img src="{_url(picture(index))}">'
        f"<figcaption>{escape(line(name))}</figcaption></figure>"
        for index, name in enumerate(names[:_MOST])
    )
    left = len(names) - _MOST
    more = f"<p>{left:,} more are not drawn.</p>" if left > 0 else ""
    return f"<div>{drawn}</div>{below}{more}"


def _url(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
