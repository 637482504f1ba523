"""The `kft fit` command for the best plan of a `kft tune`, printed and written as a script."""

from __future__ import annotations

import shlex
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from kft.plain_yaml import in_one_line
from kft.printing import how_many
from kft.tuning import Search
from kft.tuning.best_plan import BEST, fit_settings
from kft.tuning.result import STAGES

SCRIPT = "best.sh"


def with_command(search: Search, context: typer.Context) -> Search:
    """Return a search that shows the shell command for its best plan, also on its page.

    Args:
        search: The search.
        context: The command line that it was started with.
    """
    import dataclasses

    search = dataclasses.replace(search, script=shell_command(search, context))
    search.report()
    _write_script(search)
    return search


def shell_command(search: Search, context: typer.Context) -> str:
    """Return the `kft fit` command for the best plan: the options of `kft tune`, and the best values.

    Args:
        search: The search.
        context: The command line that it was started with.
    """
    assert context.parent is not None
    fit = context.parent.command.get_command(context.parent, "fit")  # type: ignore[attr-defined]
    best = search.best_trial
    given = {name: v for name, v in context.params.items() if _is_given(context, name)}
    chosen = dict(best.arguments) | _options_of_settings(search, {p.name for p in fit.params})
    chosen["stages"], chosen["run_dir"] = search.run_dir / STAGES, search.run_dir / BEST
    words = [["kft", "fit", str(given.pop("recipe"))]]
    extra = [
        one for one in given.pop("settings", None) or () if one.partition("=")[0] not in chosen
    ]
    for parameter in fit.params:
        if parameter.param_type_name == "option" and parameter.name in {**given, **chosen}:
            words += _spelled(parameter, chosen.pop(parameter.name, given.get(parameter.name)))
    extra += [f"{name}={in_one_line(value)}" for name, value in chosen.items()]
    words += [["--set", one] for one in extra]
    return " \\\n    ".join(shlex.join(some) for some in words)


def _options_of_settings(search: Search, known: set[str]) -> dict[str, Any]:
    """Return the settings that all trials shared, as options of `kft fit`."""
    settings = fit_settings(search)
    if "validation_data" in settings:
        settings["validation_split"] = settings.pop("validation_data")
    del settings["restore_best"]  # it only names the objective
    settings["monitor"] = search.objective.name  # its name implies its direction here
    return {name: value for name, value in settings.items() if name in known}


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _spelled(parameter: Any, value: Any) -> list[list[str]]:
    """Return an option with its value; a repeatable option once per value."""
    option = max(parameter.opts, key=len)
    if isinstance(value, bool):
        return [[option]] if value else [[max(parameter.secondary_opts, key=len)]]
    values = value if isinstance(value, list | tuple) else [value]
    return [[option, str(one.value if isinstance(one, Enum) else one)] for one in values]


def _write_script(search: Search) -> None:
    """Write the command as a script that runs from anywhere."""
    best = search.best_trial
    script = (
        "#!/bin/sh\n"
        f"# Trains the best of {how_many(len(search.trials), 'trial')}: {search.objective.name} "
        f"{search.best_score:.4f} in trial {best.number}.\n"
        f"cd -- {shlex.quote(str(Path.cwd()))} || exit 1\n"
        f"{search.script}\n"
    )
    hidden = search.run_dir / f".{SCRIPT}"
    hidden.write_text(script, encoding="utf-8")
    hidden.replace(search.run_dir / SCRIPT)
