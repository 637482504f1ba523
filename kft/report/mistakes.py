"""The most confident mistakes of an evaluation, with the examples themselves."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np

from kft.report import thumbnails
from kft.report.markup import Html, name, text
from kft.tasks.evaluation import content

if TYPE_CHECKING:
    from kft.data.examples import Examples
from kft.data.parts import as_piece

MAX_TEXT = 400


def mistakes(part: content.Mistakes, examples: Examples | None) -> Html:
    """Return the list of the most confident mistakes, each with its example.

    Args:
        part: The mistakes, and the sentence about each.
        examples: The evaluated examples, None if they are unknown.
    """
    if not part.found:
        return Html("<p>None: every prediction is right.</p>")
    items = "".join(
        f"<li>{_shown(one.index, examples)}{_pictures(one)}<p>{_said(one, part)}</p></li>"
        for one in part.found
    )
    return Html(f'<ol class="mistakes">{items}</ol>')


def _pictures(one: content.Mistake) -> str:
    drawn = ((each.caption, thumbnails.from_array(each.pixels)) for each in one.pictures)
    figures = "".join(
        f'<figure><img src="{url}" alt="{text(caption)}" loading="lazy">'
        f"<figcaption>{text(caption)}</figcaption></figure>"
        for caption, url in drawn
        if url is not None
    )
    return f'<div class="pictures">{figures}</div>' if figures else ""


def _said(one: content.Mistake, part: content.Mistakes) -> str:
    size = f'<data value="{one.size!r}">{format(one.size, part.size_format)}</data>'
    return part.sentence.format(
        predicted=f"<strong>{name(one.predicted)}</strong>",
        expected=f"<strong>{name(one.expected)}</strong>",
        size=size,
    )


def _shown(index: int, examples: Examples | None) -> str:
    if examples is None:
        return f"<p class=where>example {index}</p>"
    content = examples.inputs[index]
    if examples.kind == "texts":
        whole = str(as_piece(content).whole)
        cut = whole if len(whole) <= MAX_TEXT else whole[: MAX_TEXT - 1] + "…"
        return f'<blockquote dir="auto">{text(cut)}</blockquote><p class=where>example {index}</p>'
    if examples.kind in ("image_files", "clip_files"):
        where = "/".join(PurePath(str(content)).parts[-2:])
        is_clip = examples.kind == "clip_files"
        url = (thumbnails.from_clip if is_clip else thumbnails.from_file)(str(content))
    elif examples.kind == "clip_bytes" or np.ndim(content) == 4:
        where, url = f"example {index}", thumbnails.from_clip(content)
    elif examples.kind == "image_bytes":
        where, url = f"example {index}", thumbnails.from_file(bytes(content))
    else:
        where, url = f"example {index}", thumbnails.from_array(np.asarray(content))
    if url is None:
        return f"<p class=where>{name(where)} (cannot be shown)</p>"
    return f'<img src="{url}" alt="{text(where)}" loading="lazy"><p class=where>{name(where)}</p>'
