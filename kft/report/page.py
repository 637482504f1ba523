"""`write_report`: one file with all sections."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kft.arguments import path_of
from kft.data.files import written
from kft.errors import InputError
from kft.report.markup import Section, text
from kft.report.sections import Source, sections_of
from kft.report.style import STYLE

if TYPE_CHECKING:
    from kft.data.examples import Examples
    from kft.tasks import Evaluation

# Tells the browser that the page runs nothing and loads nothing.
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)


def write_report(
    path: str | os.PathLike[str],
    *,
    title: str,
    history: Mapping[str, Sequence[Any]],
    stages_table_html: str = "",
    evaluation: Evaluation | None = None,
    examples: Examples | None = None,
    facts: Mapping[str, Any] | None = None,
    journal: Mapping[str, Any] | None = None,
) -> Path:
    """Write one self-contained HTML page about a run; it needs no network and no scripts.

    ```python
    write_report("runs/flowers/report.html", title="flowers", history=run.history,
                 evaluation=recipe.evaluate(test), facts={"seed": 0})
    ```

    Args:
        path: The file to write; it is replaced atomically, and its folder is created if needed.
        title: The page's heading.
        history: As in `keras.callbacks.History.history`: a list by epoch for each name, with `val_`
            for validation; `stage` and `learning_rate` are used if present.
        stages_table_html: The plan as an HTML table, as a notebook shows it; "" omits it.
        evaluation: The result of `recipe.evaluate`; None omits its sections.
        examples: The examples of that evaluation in the same order, to show the mistakes.
        facts: Versions, seed and similar facts, shown as a table; values may be dicts and lists.
        journal: `seconds` and `epochs` by stage and `moved` by block, as in
            `kft.training.journal.Journal`; None omits their sections.

    Returns:
        The path of the page.

    Raises:
        InputError: If `examples` are not those of the evaluation, or `path` is a folder.
    """
    target = path_of("path", path, "an HTML file, such as 'report.html'")
    if os.path.isdir(target):
        raise InputError(
            f"path={str(target)!r} is a folder: "
            f"expected a file such as {str(target / 'report.html')!r}"
        )
    if examples is not None and evaluation is not None and len(examples) != len(evaluation):
        raise InputError(
            f"{len(examples)} examples for an evaluation of {len(evaluation)}: expected the ones "
            "that were evaluated, in the same order; leave examples out to write the page without"
        )
    source = Source(history, stages_table_html, evaluation, examples, facts or {}, journal)
    return write_page(target, title, sections_of(source))


def write_page(path: str | os.PathLike[str], title: str, sections: Sequence[Section]) -> Path:
    """Write a page with the given sections, in the style of a report.

    Args:
        path: The file to write; it is replaced atomically, and its folder is created if needed.
        title: The page's heading.
        sections: The content, from top to bottom.

    Returns:
        The path of the page.
    """
    target = Path(path)
    with written(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, _page(title, sections))
    return target


def _page(title: str, sections: Sequence[Section]) -> str:
    links = "".join(f'<li><a href="#{one.anchor}">{text(one.heading)}</a></li>' for one in sections)
    parts = "".join(
        f'<section aria-labelledby="{one.anchor}"><h2 id="{one.anchor}">{text(one.heading)}</h2>'
        f"{one.body}</section>\n"
        for one in sections
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{text(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header><h1>{text(title)}</h1><nav aria-label="Sections"><ul>{links}</ul></nav></header>
<main id="content" tabindex="-1">
{parts}</main>
</body>
</html>
"""


def _replace(target: Path, page: str) -> None:
    # tempfile makes files that only their owner may read; everyone with access to the folder may read a page.
    beside = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        with open(beside, "x", encoding="utf-8") as file:
            file.write(page)
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
