"""The HTML page about a search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from kft.printing import how_many
from kft.report.markup import Html, Section, chart, table, text, value
from kft.report.page import write_page
from kft.tuning import plots
from kft.tuning.importance import importance
from kft.tuning.trials import Trial
from kft.tuning.values import searched, shown

if TYPE_CHECKING:
    from kft.tuning.result import Search


def write_study(search: Search, path: Path) -> Path:
    """Write a page with the best plan, the trials, and what they show about the hyperparameters.

    Args:
        search: The search.
        path: The HTML file to write.

    Returns:
        The path.
    """
    sections = [_summary(search), _trials(search), *_drawn(search)]
    return write_page(path, f"Search: {type(search.recipe).__name__}", sections)


def _summary(search: Search) -> Section:
    best = search.best_trial
    stages = yaml.safe_dump([stage.to_dict() for stage in best.stages], sort_keys=False)
    seconds = sum(trial.seconds for trial in search.trials)
    return Section(
        "summary",
        "Best plan",
        Html(
            f"<p>{text(search.title)}. {text(search.objective.name)} "
            f"<strong>{_score(best)}</strong> in trial {best.number}, {_when(best)}. "
            f"All trials took {seconds:.0f} s.</p>"
            f"<pre>{text(stages)}</pre><p>To train it:</p><pre>{text(search.command)}</pre>"
        ),
    )


def _score(trial: Trial) -> str:
    assert trial.score is not None
    error = "" if trial.standard_error is None else f" ± {value(trial.standard_error)}"
    return f"{value(trial.score)}{error}"


def _when(trial: Trial) -> str:
    if trial.fold_scores:
        return f"with a standard error over {len(trial.fold_scores)} folds"
    return f"in epoch {trial.best_epoch} of {trial.epochs}"


def _trials(search: Search) -> Section:
    names = list(dict.fromkeys(name for trial in search.trials for name in searched(trial)))
    head = ["trial", *names, search.objective.name, "epochs", "seconds"]
    rows = []
    for trial in search.trials:
        own = searched(trial)
        cells = [shown(own[name]) if name in own else "-" for name in names]
        score = _score(trial) if trial.reason is None else text(f"failed: {trial.reason}")
        rows.append([str(trial.number), *cells, score, trial.epochs, f"{trial.seconds:.1f}"])
    return Section("trials", "Trials", table("All trials in their order", head, rows))


def _drawn(search: Search) -> list[Section]:
    done = [trial for trial in search.trials if trial.score is not None]
    parts = [
        chart(
            "progress",
            plots.progress(search),
            title="Scores",
            description=f"The score of each trial, and the best so far: {search.best_score:.4f}.",
        )
    ]
    sections = [Section("scores", "Scores", Html("".join(parts)))]
    if len(done) < 2:
        return sections
    drawn = chart(
        "parallel",
        plots.parallel(search),
        title="Parallel coordinates",
        description="A line for each trial through its values to its score on the right; the best "
        "quarter is drawn in colour. A point below an axis is a value that was not in use.",
    )
    sections.append(Section("coordinates", "Values and scores", drawn))
    shares = importance(search)
    if shares:
        listed = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
        bars = chart(
            "shares",
            plots.importances(search),
            title="Importance of each hyperparameter",
            description=f"{listed}. From a forest of regression trees over {how_many(len(done), 'trial')}: a "
            "hint, not a measurement.",
        )
        sections.append(Section("importance", "Importance", bars))
    maps = "".join(
        chart(
            f"heat-{rate}",
            plots.heat_map(search, rate),
            title=f"{rate} against depth",
            description="The best score in each cell; empty cells were not tried.",
        )
        for rate in ("head_lr", "backbone_lr")
        if sum(rate in searched(trial) for trial in done) > 1
        and any("unfreeze" in searched(trial) for trial in done)
    )
    if maps:
        sections.append(Section("depth", "Rate against depth", Html(maps)))
    return sections
