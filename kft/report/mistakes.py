"""The section that shows what the model got wrong."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np

from kft.report import thumbnails
from kft.report.markup import Html, Section, name, text, value
from kft.report.source import Source

if TYPE_CHECKING:
    from kft.data.examples import Examples
    from kft.evaluation import Mistake

MAX_MISTAKES = 12
MAX_TEXT = 400


def mistakes(source: Source) -> Section | None:
    """The predictions that are wrong and sure, with the examples themselves."""
    found = source.evaluation
    if found is None:
        return None
    worst = found.mistakes(MAX_MISTAKES)
    heading = "Largest errors" if found.task == "regression" else "Most confident mistakes"
    if not worst:
        return Section("mistakes", heading, Html("<p>None: every prediction is right.</p>"))
    items = "".join(_mistake(found.task, one, source.examples) for one in worst)
    return Section("mistakes", heading, Html(f'<ol class="mistakes">{items}</ol>'))


def _mistake(task: str, one: Mistake, examples: Examples | None) -> str:
    if task == "regression":
        said = (
            f"predicted <strong>{text(one.predicted)}</strong>, "
            f"expected <strong>{text(one.expected)}</strong>, "
            f"off by {value(one.size, fraction=False)}"
        )
    else:
        sure = f'<data value="{one.size!r}">{one.size:.1%}</data>'
        said = (
            f"said <strong>{name(one.predicted)}</strong> ({sure} sure), "
            f"is <strong>{name(one.expected)}</strong>"
        )
    return f"<li>{_shown(one.index, examples)}<p>{said}</p></li>"


def _shown(index: int, examples: Examples | None) -> str:
    if examples is None:
        return f"<p class=where>example {index}</p>"
    content = examples.inputs[index]
    if examples.kind == "texts":
        whole = str(content)
        cut = whole if len(whole) <= MAX_TEXT else whole[: MAX_TEXT - 1] + "…"
        return f'<blockquote dir="auto">{text(cut)}</blockquote><p class=where>example {index}</p>'
    if examples.kind == "image_files":
        where, url = "/".join(PurePath(str(content)).parts[-2:]), thumbnails.from_file(str(content))
    elif examples.kind == "image_bytes":
        where, url = f"example {index}", thumbnails.from_file(bytes(content))
    else:
        where, url = f"example {index}", thumbnails.from_array(np.asarray(content))
    if url is None:
        return f"<p class=where>{name(where)} (cannot be shown)</p>"
    return f'<img src="{url}" alt="{text(where)}" loading="lazy"><p class=where>{name(where)}</p>'
