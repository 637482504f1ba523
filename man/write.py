"""Write the manual pages from the command line's own parser: `python man/write.py`.

`pip install kft` puts the pages of `man/man1` where `man kft` and `man kft-fit` find them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer

import kft
from kft.cli import app
from kft.cli.environment import Variable, variables_of

PAGES = Path(__file__).parent / "man1"
_ESCAPED = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}
_EXAMPLE = ("kft ", "curl ")
_EXIT_CODES = {
    "0": "Done.",
    "1": "Anything else, such as a bug, with a traceback.",
    "2": "kft refuses or gives up, and standard error says why.",
    "75": "A fit was interrupted and has saved its state: the same command resumes it.",
}


def pages() -> dict[str, str]:
    """Return the pages, name of the file to content."""
    group: Any = typer.main.get_command(app)
    root = typer.Context(group, info_name="kft", **group.context_settings)
    made = {f"kft-{name}.1": _page(name, one, root) for name, one in group.commands.items()}
    return {"kft.1": _overview(group, root), **made}


def _overview(group: Any, context: Any) -> str:
    """Return the page of `kft` itself."""
    commands = [
        (_bold(f"kft {name}"), one.get_short_help_str(limit=1000))
        for name, one in group.commands.items()
    ]
    return _joined(
        _head("kft", group.help),
        _section("SYNOPSIS", [f"{_bold('kft')} [OPTIONS] COMMAND [ARGUMENTS]"]),
        _section("DESCRIPTION", [*_paragraphs([group.help, group.epilog])]),
        _section("OPTIONS", _listed(_record(one, context) for one in group.get_params(context))),
        _section("COMMANDS", _listed(commands)),
        _ending(variables_of(None)),
        _section("SEE ALSO", [", ".join(_reference(name) for name in group.commands)]),
    )


def _page(name: str, command: Any, root: Any) -> str:
    """Return the page of a command."""
    context = typer.Context(command, parent=root, info_name=name)
    said = command.help.split("\n\n")
    words = [" ".join(one.split()) for one in said]
    examples = [one for one in words if one.startswith(_EXAMPLE)]
    panels: dict[str, list[tuple[str, str]]] = {}
    arguments = []
    for parameter in command.get_params(context):
        is_argument = parameter.param_type_name == "argument"
        if is_argument:
            arguments.append(_named(parameter) if parameter.required else f"[{_named(parameter)}]")
        panel = getattr(parameter, "rich_help_panel", None)
        panel = panel or ("Arguments" if is_argument else "Options")
        panels.setdefault(panel, []).append(_record(parameter, context))
    usage = " ".join([_bold(f"kft {name}"), "[OPTIONS]", *map(_roff, arguments)])
    options = [line for panel, rows in panels.items() for line in (f".SS {panel}", *_listed(rows))]
    return _joined(
        _head(f"kft-{name}", words[0]),
        _section("SYNOPSIS", [usage]),
        _section("DESCRIPTION", _paragraphs(one for one in words if one not in examples)),
        _section("OPTIONS", options),
        _section("EXAMPLES", _code(examples)) if examples else "",
        _ending(variables_of(name)),
        _section("SEE ALSO", [_reference("")]),
    )


def _head(name: str, sentence: str) -> str:
    title = f'.TH "{_roff(name.upper())}" 1 "" "kft {kft.__version__}" "kft manual"'
    purpose = sentence.rstrip(".")
    return f"{title}\n.SH NAME\n{_roff(name)} \\- {_roff(purpose)}"


def _ending(variables: dict[str, Variable]) -> str:
    rows = [(_bold(name), f"{one.use[0].upper()}{one.use[1:]}.") for name, one in variables.items()]
    codes = [(_bold(code), meaning) for code, meaning in _EXIT_CODES.items()]
    return _joined(
        _section("EXIT STATUS", _listed(codes)), _section("ENVIRONMENT", _listed(rows))
    ).rstrip()


def _record(parameter: Any, context: Any) -> tuple[str, str]:
    """Return an option with its value, in roff, and its help.

    Typer names the types of values differently in each release, so only what kft names is used.
    """
    shown, described = parameter.get_help_record(context)
    if parameter.param_type_name == "argument":
        return f"\\fI{_roff(_named(parameter))}\\fR", described
    names = " / ".join(
        ", ".join(map(_bold, sorted(one, key=len)))  # those of --help have no order
        for one in (parameter.opts, parameter.secondary_opts)
        if one
    )
    spelled = {*parameter.opts, *parameter.secondary_opts}
    rest = " ".join(word for word in shown.replace(",", " ").split(" ") if word not in spelled)
    value = getattr(parameter, "metavar", None) or rest.strip(" /<>[]")
    if not getattr(parameter, "metavar", None) and "|" not in value:
        value = value and "VALUE"
    return f"{names} \\fI{_roff(value)}\\fR" if value else names, described


def _named(parameter: Any) -> str:
    return parameter.metavar or parameter.name.upper()


def _listed(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, described in rows:
        yield from (".TP", term, _line(re.sub(r" {2,}\[", " [", described)))


def _paragraphs(texts: Iterable[str]) -> Iterator[str]:
    for place, one in enumerate(texts):
        yield from ([".PP"] if place else [])
        yield _line(" ".join(one.split()))


def _code(lines: Iterable[str]) -> Iterator[str]:
    for place, one in enumerate(lines):
        yield from ([".PP"] if place else [])
        yield from (".nf", _line(one), ".fi")


def _reference(name: str) -> str:
    return f"{_bold(f'kft-{name}'.rstrip('-'))}(1)"


def _section(heading: str, lines: Iterable[str]) -> str:
    return "\n".join([f".SH {heading}", *lines])


def _joined(*parts: str) -> str:
    return "\n".join(filter(None, parts)) + "\n"


def _bold(text: str) -> str:
    return f"\\fB{_roff(text)}\\fR"


def _line(text: str) -> str:
    """Return text as a line that is not a request of roff."""
    return f"\\&{_roff(text)}" if text.startswith((".", "'")) else _roff(text)


def _roff(text: str) -> str:
    return "".join(_ESCAPED.get(one, one) for one in text)


def main() -> None:
    """Write all pages, and remove those of commands that are no more."""
    made = pages()
    for path in PAGES.glob("*.1"):
        if path.name not in made:
            path.unlink()
    for name, content in made.items():
        (PAGES / name).write_text(content, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
