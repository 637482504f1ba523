"""Error messages with Python's arguments replaced by options: `text_column=` is `--text-column`.

Messages name arguments as Python does, in backticks or as `name=value`. The command's parameters have
the same names, and provide the option for each.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import typer

from kft.cli import build
from kft.cli.task_arguments import task_fields
from kft.errors import KftError

_PART = r"kft\.([A-Z]\w+)\(([a-z_]+)=([^=()]*)\)"  # such as `kft.Cache(views=2)`
_VALUE = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\([^()]*\)|\[[^\[\]]*\]|\.\.\.|[^\s`,;:()]*[^\s`,;:().]"""
_MENTION = re.compile(
    rf"""
    [\w.]+\((?:[^()]|\([^()]*\))*\)                       # a call, as Python writes it
    | (?<![^\s(\[,:])(?:'[^'\n]*'|"[^"\n]*")(?![^\s,.;:)\]]) # a quoted text, such as a path
    | `(?P<ticked>[a-z_]+)(?:=(?P<inside>[^`]*))?`
    | (?<!--set\ )(?<![^\s(])(?P<name>[a-z_]+)=(?P<value>kft\.[A-Z]\w+\([^()]*\)|{_VALUE})
    | (?<![^\s(])(?P<bare>[a-z]+(?:_[a-z]+)+)(?![^\s,.;:)])
    """,
    re.VERBOSE,
)


# In a message about two plans, the place of a difference, followed by both values.
_DIFFERENCE = re.compile(r"(?<=[:;] )([a-z]\w*)((?:\[\d+\]|\.\w+)*)(?=: [^;]* there, [^;]* here)")
_OF_DATA = {"train": "data", "validation": "validation_data"}
# Arguments with fields, such as `cache=kft.Cache(views=2)`; fields whose option has another name.
_WITH_PARTS = ("cache", "finish", "resume")
_OF_PARTS = {"dtype": "cache_dtype", "every": "checkpoint_every", "views": "cached_views"}
_OF_PYTHON = (
    " of recipe.read"  # names where `fit` lacks an argument that each command has as an option
)
# Options of other trainers that belong to a stage here.
_NO_OPTION = re.compile(
    r"No such option: --(?:(?:num-|freeze-)?(?:train-)?epochs|learning-rate|lr|warmup|unfreeze)(?![\w-])"
)
_UNKNOWN = re.compile(r"No such option: (?P<option>--[a-z][\w-]*)(?P<others>.*)")
_ALIKE = 0.8  # of 1: `--batchsize` and `--batch-size`, but not `--alpha` and `--lora-alpha`
_OTHER_RUN_DIR = "Pass another --run-dir"


def in_options(message: str, context: typer.Context, typed: Iterable[str]) -> str:
    """Return a message in which arguments are replaced by the options that set them.

    Args:
        message: The message of an error that a Python function raised.
        context: The context of the command that called it.
        typed: The words on the command line; where the message repeats them, they are not changed.
    """
    options = {**_recipe_options(context), **_options(context)}
    message = _DIFFERENCE.sub(lambda found: _difference(found[1], found[2], options), message)
    settings = context.params.get("settings") or ()  # `alpha=0.35` may be replaced
    protected = {text for text in typed if text not in settings and _MENTION.search(text)}
    kept = sorted(protected, key=len, reverse=True)
    repeated = re.finditer("|".join(map(re.escape, kept)), message) if kept else ()
    spans = [found.span() for found in repeated]

    def translated(found: re.Match[str]) -> str:
        name = next((one for one in ("ticked", "name", "bare") if found[one]), 0)
        is_typed = any(start <= found.start(name) < end for start, end in spans)
        return found[0] if is_typed else _translated(found, options)

    worded = _MENTION.sub(translated, message).replace(_OF_PYTHON, "")
    if "fresh" in options and "belongs to another plan" in worded:
        worded = worded.replace(
            _OTHER_RUN_DIR, f"{_OTHER_RUN_DIR}, --fresh to start a new run next to it"
        )
    return worded


def with_way_out(message: str, context: typer.Context | None) -> str:
    """Extend a usage error for an option that belongs elsewhere: epochs, rates, `--config`, `--set`.

    Args:
        message: The error, such as `No such option: --epochs`.
        context: The context of the command, None if there was none.
    """
    if context is not None and message.startswith("No such option: --config"):
        return f"--config goes before the command: kft --config FILE {context.info_name}"
    parameters = set() if context is None else {one.name for one in context.command.params}
    found = _NO_OPTION.match(message)
    if found is None:
        return _with_set(message) if "settings" in parameters else message
    if "stages" not in parameters:
        return message
    return (
        f"{found[0]}, since each stage has its own: write such as "
        "'- {unfreeze: all, epochs: 3, learning_rate: 1e-4}' to a file, and pass it as --stages."
    )


def _with_set(message: str) -> str:
    """Extend an error for an option that may be an argument of the recipe, since it resembles no option.

    Args:
        message: The error, such as `No such option: --alpha (Possible options: --lora-alpha)`.
    """
    found = _UNKNOWN.match(message)
    if found is None:
        return message
    option, others = found["option"], re.findall(r"--[\w-]+", found["others"] or "")
    if difflib.get_close_matches(option, others, cutoff=_ALIKE):
        return message
    return (
        f"No such option: {option}. An argument of the recipe or its task that has no option is passed as "
        f"--set {option[2:].replace('-', '_')}=VALUE."
    )


def _difference(name: str, inside: str, options: Mapping[str, Callable[[Any], str]]) -> str:
    """Return where two plans differ, in terms of the command's options.

    Args:
        name: The first name of the place in the plan, such as `stages`.
        inside: The rest, such as `[0].learning_rate`.
        options: How the command's options are written, by the names of their arguments.
    """
    if name == "arguments" or name in _WITH_PARTS:  # those of the recipe, or fields of one
        _, name, inside = re.split(r"^\.(\w+)", inside, maxsplit=1)
    option = options.get(_OF_DATA.get(name, name))
    if option is None:
        return name + inside
    worded = option(_Absent).removesuffix("=VALUE")
    if name in build.JOINED:
        return worded  # the parts of its value are one word
    words = [
        f"{'stage' if name == 'stages' else 'number'} {int(index) + 1}" if index else word
        for index, word in re.findall(r"\[(\d+)\]|\.(\w+)", inside)
    ]
    return ", ".join([worded, *words])


def _translated(found: re.Match[str], options: Mapping[str, Callable[[Any], str]]) -> str:
    name = found["ticked"] or found["name"] or found["bare"]
    value = found["value"] if found["inside"] is None else found["inside"]
    part = re.fullmatch(_PART, value or "")
    if part is not None:
        kind, name, value = part.groups()
        name = f"lora_{name}" if kind == "LoRA" else name
    if name not in options:
        return found[0]
    worded = options[name](_Absent if value is None else _literal(value))
    return f"`{worded}`" if found["ticked"] else worded


class _Absent:
    """A placeholder for a value that a message does not contain."""


class _Verbatim(str):
    """A value that is not a Python literal: `...`, a number that was cut, an object."""


def _literal(text: str) -> Any:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return _Verbatim(text)
    return _Verbatim(text) if value is ... else value


def _options(context: typer.Context) -> dict[str, Callable[[Any], str]]:
    """Return the option of every parameter of the command, by the name of the argument."""
    found = {
        parameter.name: _spelled_by(parameter)
        for parameter in context.command.params
        if parameter.name and parameter.opts[0].startswith("-")
    }
    found |= {part: found[name] for part, name in _OF_PARTS.items() if name in found}
    if "validation_split" in found:
        data, split = found["validation_data"], found["validation_split"]
        found["validation_data"] = lambda value: (split if _is_number(value) else data)(value)
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) or value in ("nan", "inf", "-inf")


def _spelled_by(parameter: Any) -> Callable[[Any], str]:
    option = max(parameter.opts, key=len)

    def spelled(value: Any) -> str:
        if value is _Absent:
            return option
        if isinstance(value, bool) and getattr(parameter, "is_flag", False):
            return option if value else next(iter(parameter.secondary_opts), f"no {option}")
        if isinstance(value, (tuple, list)):
            if parameter.multiple:
                return " ".join(f"{option} {_word(one)}" for one in value)
            value = _Verbatim(build.JOINED.get(parameter.name, " ").join(map(str, value)))
        return f"{option} {_word(value)}"

    return spelled


def _recipe_options(context: typer.Context) -> dict[str, Callable[[Any], str]]:
    """Return the options for the arguments of the command's recipes, `--model` and `--set`."""
    by_name = {parameter.name: parameter for parameter in context.command.params}
    if not {"model", "settings"} <= by_name.keys():
        return {}
    found: dict[str, Callable[[Any], str]] = {}
    one, several = context.params.get("recipe"), context.params.get("recipes")
    for spelled in several or ([one] if one else []):
        try:
            recipe_class = build.find_recipe(spelled.partition(",")[0])
        except KftError:
            continue
        task = context.params.get("task")
        own = task_fields(recipe_class, None if task is None else str(task))
        names = {*(field.name for field in dataclasses.fields(recipe_class)), *own}
        found |= {name: _set(name) for name in names}
        first = build.first_argument(recipe_class)
        if first is not None:
            found[first] = _spelled_by(by_name["model"])
    return found


def _set(name: str) -> Callable[[Any], str]:
    def spelled(value: Any) -> str:
        shown = "VALUE" if value is _Absent else value
        if value is None or isinstance(value, bool):
            shown = "null" if value is None else str(value).lower()
        return f"--set {_word(_Verbatim(f'{name}={shown}'))}"

    return spelled


def _word(value: Any) -> str:
    """Return a value as it is typed in a shell."""
    if isinstance(value, _Verbatim):
        return value if re.fullmatch(r"[^\s'\"]*", value) else shlex.quote(value)
    if isinstance(value, str):
        return shlex.quote(value)
    return "none" if value is None else str(value)
