"""Sections about the training: the plan, and the curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kft import plots
from kft.plots import history as history_plots
from kft.plots import journal as journal_plots
from kft.printing import listed_numbers
from kft.report.markup import Html, Section, chart, keys, plain_table, scrolling, table, text, value
from kft.report.source import Source


def plan(source: Source) -> Section | None:
    """Return the section with the table of stages."""
    if not source.stages_table_html:
        return None
    body = scrolling("Stage plan", plain_table(source.stages_table_html))
    return Section("plan", "Stage plan", body)


def training(source: Source) -> Section | None:
    """Return the section with curves by epoch, and the same numbers as a table."""
    history = source.history
    epochs = history_plots.epoch_count(history)
    if not epochs:
        note = "No epoch was finished, so there are no curves."
        return Section("training", "Training", Html(f"<p>{note}</p>"))
    charts = []
    for i, metric in enumerate(history_plots.metric_names(history)):
        title = metric.replace("_", " ")
        title = title[:1].upper() + title[1:]
        drawn = plots.metric(history, metric)
        charts.append(chart(f"metric{i}", drawn, title=title, description=_course(history, metric)))
    by_block = (source.journal or {}).get("rates")
    if by_block:
        charts.append(_rates_by_block(history, by_block))
    elif history_plots.rate_names(history):
        drawn = plots.learning_rates(history)
        description = "By epoch, on a logarithmic axis, which omits a rate of 0."
        charts.append(chart("rates", drawn, title="Learning rate", description=description))
    spans = history_plots.stage_spans(history)
    where = "; ".join(
        f"{span.name}: epochs {span.first} to {span.last}"
        if span.last > span.first
        else f"{span.name}: epoch {span.first}"
        for span in spans
    )
    note = (
        f"<p>{text(where)}. Dashed lines mark where a stage begins.</p>" if len(spans) > 1 else ""
    )
    if source.journal is not None:
        journal = source.journal
        note += _preceded(journal) + _kept(journal.get("best")) + _followed(journal)
    body = f'{_diverged(history)}{note}<div class="charts">{"".join(charts)}</div>'
    return Section("training", "Training", Html(body + _epochs(history, epochs)))


def _preceded(journal: Mapping[str, Any]) -> Html:
    """Return a paragraph about the training before the stages."""
    first = journal.get("warm_start")
    if not first:
        return Html("")
    return Html(
        f"<p>Before the stages, the encoder was trained on the {int(first['examples']):,} training examples by "
        f"supervised contrastive learning, in {int(first['steps'])} steps.</p>"
    )


def _kept(best: Mapping[str, Any] | None) -> Html:
    """Return a paragraph about which epoch the weights are from."""
    if best is None:
        return Html("<p>The weights are those of the last epoch.</p>")
    monitor = str(best["monitor"])
    shown = monitor.removeprefix("val_").replace("_", " ")
    shown = f"validation {shown}" if monitor.startswith("val_") else shown
    tolerance = float(best.get("tolerance") or 0)
    rule = tolerated(tolerance)
    within = f" {rule[0].upper()}{rule[1:]}." if tolerance else ""
    if "share" in best:
        return Html(
            f"<p>The weights are {float(best['share']):.0%} of the way from the start of stage "
            f"{int(best['stage'])} to epoch {int(best['epoch'])}, where {text(shown)} is {value(best['value'])}. "
            f"Weights in between often generalise better than those at either end.{within}</p>"
        )
    which = "the best epoch"
    if best.get("among") == "ends":  # other epochs may have been better by chance
        which = "the best of the stages' last epochs"
    if "last_share" in best:
        within += f" The last stage ended at {float(best['last_share']):.0%} of its way."
    return Html(
        f"<p>The weights are those of epoch {int(best['epoch'])} (stage {int(best['stage'])}), {which} "
        f"by {text(shown)}: {value(best['value'])}.{within}</p>"
    )


def tolerated(tolerance: float) -> str:
    """Return a clause that says when the end of a later stage is kept.

    Args:
        tolerance: As for `kft.BestEpoch`; not 0.
    """
    if tolerance < 0:
        return f"a later stage is kept only if it is more than {-tolerance:.0%} better"
    return f"a later stage is kept if it is at most {tolerance:.0%} worse"


def _followed(journal: Mapping[str, Any]) -> Html:
    """Return paragraphs about what followed the stages."""
    paragraphs = []
    temperatures = journal.get("temperature")
    if temperatures:
        paragraphs.append(
            f"<p>The scores are divided by a temperature of {text(listed_numbers(temperatures))}, found on the "
            "validation data, to bring probabilities closer to how often such an answer is right.</p>"
        )
    thresholds = journal.get("thresholds")
    if thresholds:
        paragraphs.append(
            f"<p>The threshold of the answers, {text(listed_numbers(thresholds))}, was found on the validation "
            "data as well, so these figures are slightly optimistic: evaluate on other data.</p>"
        )
    again = journal.get("refit")
    if again:
        shown = "What this page shows is the model before that."
        if journal.get("evaluated_later"):
            shown = "The curves are of the model before that, the figures and mistakes of the one after it."
        paragraphs.append(
            f"<p>Then the model was trained again from the start on all {int(again['examples']):,} "
            f"examples, those of the validation included, for as many epochs as led to these weights. {shown}</p>"
        )
    return Html("".join(paragraphs))


def _rates_by_block(
    history: Mapping[str, Sequence[Any]], by_block: Mapping[str, Sequence[float | None]]
) -> Html:
    alike: dict[tuple, list[str]] = {}
    for block, rates in by_block.items():
        alike.setdefault(tuple(rates), []).append(block)
    shown = {
        ", ".join(names) if len(names) < 4 else f"{names[0]} to {names[-1]}": rates
        for rates, names in alike.items()
    }
    last = [(name, f"{rates[-1]:.3g}" if rates[-1] else "frozen") for name, rates in shown.items()]
    description = (
        "For each block, in the last step of the epoch, on a logarithmic axis; a line begins when "
        "its block is unfrozen. With the final rate:"
    )
    drawn = journal_plots.rates_by_block(history, shown)
    return chart("rates", drawn, title="Learning rate", description=description, more=keys(last))


def _course(history: Mapping[str, Sequence[Any]], metric: str) -> str:
    parts = []
    for key, label in ((metric, "training"), (f"val_{metric}", "validation")):
        column = history_plots.numbers(history.get(key, ()))
        if len(column):
            last = "undefined" if np.isnan(column[-1]) else f"{column[-1]:.4g}"
            parts.append(f"{label} {last}")
    ends = ", ".join(parts) + " at the end"
    best = history_plots.numbers(history.get("val_loss", ()))
    if metric == "loss" and np.isfinite(best).any():
        epoch = int(np.nanargmin(best))
        ends += f"; lowest validation loss {best[epoch]:.4g} in epoch {epoch + 1}"
    return f"{ends[:1].upper()}{ends[1:]}."


def _diverged(history: Mapping[str, Sequence[Any]]) -> Html:
    for key in ("loss", "val_loss"):
        missing = np.flatnonzero(np.isnan(history_plots.numbers(history.get(key, ()))))
        if len(missing):
            label = "training" if key == "loss" else "validation"
            return Html(
                f'<p class="notice">The {label} loss is NaN, infinite or missing in '
                f"{len(missing)} of {history_plots.epoch_count(history)} epochs, "
                f"first in epoch {missing[0] + 1}.</p>"
            )
    return Html("")


def _epochs(history: Mapping[str, Sequence[Any]], epochs: int) -> Html:
    columns = [key for key, column in history.items() if len(column)]
    rows = []
    for i in range(epochs):
        cells = (history[key][i] if i < len(history[key]) else "" for key in columns)
        rows.append((str(i + 1), *(f"{c:.4g}" if isinstance(c, float) else c for c in cells)))
    body = table("Every epoch", ("epoch", *columns), rows)
    return Html(f"<details><summary>The numbers of every epoch</summary>{body}</details>")
