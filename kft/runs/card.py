"""The model card of a finished run, as Markdown."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from kft.arguments import path_of
from kft.printing import number, printable
from kft.runs.comparison import FinishedRun
from kft.runs.places import JOURNAL, RECIPE, check_run
from kft.runs.reading import read_object

__all__ = ["model_card"]

_MOST_CLASSES = 50
_FEW = 200  # validation examples below which the card warns of wide intervals
# The last two prevent GitHub from turning an address into a link.
_SPECIAL = re.compile(r"[\\`*\[\]<>|#~$&]|(?<!\w)_|_(?!\w)|:(?=//)|(?<=www)\.", re.IGNORECASE)
_STAGE_COLUMNS = ("unfreeze", "epochs", "learning_rate")


def model_card(run_dir: str | os.PathLike) -> str:
    """Return a model card of a finished run.

    It has the sections of Mitchell et al. 2019 (https://arxiv.org/abs/1810.03993) that can be filled from
    the files of the run: the model, the figures on its validation data with their intervals, the data,
    the training, and how to load it. Sections that only the author can write, such as the intended use,
    are placeholders. Neither Keras nor the weights are loaded.

    ```python
    Path("MODEL_CARD.md").write_text(kft.model_card("runs/photos"), encoding="utf-8")
    ```

    Args:
        run_dir: The directory of a finished run.

    Returns:
        The card, in CommonMark with tables and a YAML header for the Hugging Face Hub.

    Raises:
        InputError: If there is no finished run, or it is damaged.
    """
    path = path_of("run_dir", run_dir)
    check_run(path)
    run = FinishedRun.read(path)
    described = read_object(path / RECIPE, within=path)
    journal = read_object(path / JOURNAL, within=path) if os.path.exists(path / JOURNAL) else {}
    parts = [
        _header(described),
        f"# {_text(path.resolve().name)}",
        _model(run, described, journal),
        "## Intended use\n\n*To be filled in: what the model is for, for whom, and what it is not for.*",
        _figures(run, journal),
        _data(journal),
        _training(run, described, journal),
        _use(run, run_dir),
        "## Licence\n\n*To be filled in: that of the model; the pretrained weights and the data have their own.*",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _header(described: Mapping[str, Any]) -> str:
    kinds = {"image": "image", "text": "text", "clip": "video"}
    kind = kinds.get(str(described.get("modality")), "other")
    return f"---\nlibrary_name: keras\ntags:\n- kft\n- {kind}\n---"


def _model(run: FinishedRun, described: Mapping[str, Any], journal: Mapping[str, Any]) -> str:
    start = _mapping(journal.get("starting_weights")).get("source")
    names = described.get("classes")
    lines = [f"A {_text(run.recipe)} that was fine-tuned with kft."]
    if isinstance(start, str):
        lines.append(f"Its starting weights: {_text(start)}.")
    if isinstance(names, list) and names:
        shown = ", ".join(_text(str(name)) for name in names[:_MOST_CLASSES])
        more = f" and {len(names) - _MOST_CLASSES:,} more" if len(names) > _MOST_CLASSES else ""
        lines.append(f"It knows {len(names):,} classes: {shown}{more}.")
    return " ".join(lines)


def _figures(run: FinishedRun, journal: Mapping[str, Any]) -> str:
    if not run.figures:
        return "## Figures\n\nThe run was not evaluated."
    count = _mapping(_parts(journal).get("validation")).get("examples")
    rows = [
        (
            str(one.get("label") or name.replace("_", " ")),
            _shown(one.get("value")),
            _interval(one.get("interval")),
        )
        for name, one in run.figures.items()
    ]
    on = f"{count:,} validation examples" if isinstance(count, int) else "the validation data"
    opening = (
        f"On {on}, which chose the epoch that was kept but were not trained on: figures on new data may be "
        "lower."
    )
    if isinstance(count, int) and count < _FEW:
        opening += " So few examples leave wide intervals."
    if journal.get("refit"):
        opening += " The model was then trained again on these examples too, so it cannot be evaluated on them."
    return f"## Figures\n\n{opening}\n\n{_table(('figure', 'value', '95 % interval'), rows)}"


def _data(journal: Mapping[str, Any]) -> str:
    rows, classes = [], []
    for part, values in _parts(journal).items():
        values = _mapping(values)
        rows.append((part, _shown(values.get("examples")), _shown(values.get("copies"))))
        for name, count in _mapping(values.get("counts")).items():
            classes.append((part, name, _shown(count)))
    if not rows:
        return "## Data\n\n*To be filled in: where the data come from, and who labelled them.*"
    written = _table(("part", "examples", "copies among them"), rows)
    if 0 < len(classes) <= 2 * _MOST_CLASSES:
        written += f"\n\n{_table(('part', 'class', 'examples'), classes)}"
    return (
        f"## Data\n\n*To be filled in: where they come from, and who labelled them.*\n\n{written}"
    )


def _training(run: FinishedRun, described: Mapping[str, Any], journal: Mapping[str, Any]) -> str:
    plan = _mapping(described.get("plan"))
    stages = plan.get("stages")
    rows = [
        (str(place), *(_shown(_mapping(stage).get(name)) for name in _STAGE_COLUMNS))
        for place, stage in enumerate(stages if isinstance(stages, list) else (), start=1)
    ]
    lines = []
    if journal.get("warm_start"):
        lines.append(
            "Before the stages, the encoder was trained by supervised contrastive learning."
        )
    best = run.best
    if {"epoch", "stage", "monitor", "value"} <= best.keys():
        lines.append(
            f"The weights are those of epoch {_shown(best['epoch'])} (stage {_shown(best['stage'])}), "
            f"where {_text(best['monitor'])} was {_shown(best['value'])}."
        )
    if journal.get("refit"):
        lines.append("Then the model was trained again on all examples, for as many epochs.")
    lines.append(
        f"The stages took {run.seconds:.0f} s with seed {_text(_shown(plan.get('seed')))}."
    )
    versions = ", ".join(
        f"{_text(name)} {_text(str(value))}"
        for name, value in _mapping(described.get("versions")).items()
    )
    head = ("stage", "blocks unfrozen", "epochs at most", "learning rate")
    return f"## Training\n\n{_table(head, rows)}\n\n{' '.join(lines)}\n\n{versions}"


def _use(run: FinishedRun, run_dir: str | os.PathLike) -> str:
    is_own = not str(run.settings.get("recipe", "")).startswith("recipes.")
    own = f", recipe={run.recipe}" if is_own and run.recipe.isidentifier() else ""
    return (
        f"## Use\n\n```python\nimport kft\n\nrecipe = kft.load({os.fspath(run_dir)!r}{own})\n"
        "print(recipe.predict([...]))\n```"
    )


def _parts(journal: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(_mapping(journal.get("data")).get("parts"))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([_text(str(cell)) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(value: str) -> str:
    """Escape a text so that none of it is rendered as markup."""
    return _SPECIAL.sub(r"\\\g<0>", str(printable(" ".join(value.split()))))


def _interval(ends: Any) -> str:
    return f"{_shown(ends[0])} to {_shown(ends[1])}" if isinstance(ends, list) and ends else ""


def _shown(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    return f"{value:,}" if isinstance(value, int) else number(value, fraction=False)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
