"""Results of benchmarks, as JSON files and as the tables in the documentation."""

import importlib.metadata
import json
import math
import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PACKAGES = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}


def environment(backend: str) -> dict[str, Any]:
    """Return the environment in which a figure was measured."""
    packages = ["keras", PACKAGES[backend]]
    return {
        "backend": backend,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in packages},
    }


def result(
    name: str,
    *,
    command: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    notes: Sequence[str],
    details: Any,
    backend: str,
) -> dict[str, Any]:
    """Return the result of a benchmark; results of the same name share a table."""
    return {
        "name": name,
        "command": command,
        "columns": list(columns),
        "rows": [list(row) for row in rows],
        "notes": list(notes),
        "environment": environment(backend),
        "details": details,
    }


def mean_and_error(values: Sequence[float]) -> str:
    """Return the mean with its standard error; of a single value, that value; a dash without values."""
    if len(values) < 2:
        return f"{values[0]:.3f}" if values else "—"
    error = statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.mean(values):.3f} ± {error:.3f}"


def markdown(results: Sequence[dict[str, Any]]) -> str:
    """Return one table of the rows of several results, followed by their environments.

    A column that a result lacks is a dash in its rows.
    """
    columns = list(dict.fromkeys(column for one in results for column in one["columns"]))
    lines = [line(columns), line(["---"] * len(columns))]
    for one in results:
        for row in one["rows"]:
            cells = dict(zip(one["columns"], row, strict=True))
            lines.append(line([cells.get(column, "—") for column in columns]))
    for note in dict.fromkeys(note for one in results for note in one["notes"]):
        lines += ["", note]
    lines += ["", *dict.fromkeys(f"`{one['command']}`  " for one in results)]
    lines += ["", *dict.fromkeys(_measured_on(one["environment"]) for one in results)]
    return "\n".join(lines)


def publish(outcome: dict[str, Any], out: str | None) -> None:
    """Print the table, and write the JSON file if its path is given."""
    print(f"\n{markdown([outcome])}")
    if out is not None:
        path = Path(out)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")


def _measured_on(environment: dict[str, Any]) -> str:
    versions = [
        f"{name} {version}" for name, version in environment.items() if name not in ("cores",)
    ]
    return f"{environment['cores']} CPU cores, {', '.join(versions)}.  ".replace("backend ", "")


def line(cells: Sequence[str]) -> str:
    """Return a row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"
