"""A stage of fine-tuning, and files of stages."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import yaml

from kft.arguments import is_number, is_whole, make_plain, shortened, shown
from kft.arguments.calls import CheckedCalls
from kft.errors import InputError
from kft.model.adapters import PARTS
from kft.plain_yaml import read_yaml
from kft.printing import printable

Decay = Literal["constant", "linear", "cosine"]


@dataclasses.dataclass(frozen=True)
class Stage(CheckedCalls):
    """What trains, for how long, and at which rate.

    Args:
        unfreeze: `0` trains only the head, `n` also the top `n` blocks (see `kft.find_blocks`),
            `"all"` everything. A list of patterns (`"conv5_*"`, matched against the names and paths
            of layers and the names of blocks, as in a shell) trains the head and what they match; an
            existing name matches only itself. Weights frozen one by one (LoRA,
            `variable.trainable = False`) stay frozen.
        epochs: The maximum number of epochs; early stopping may end the stage earlier. Required,
            except by a stage with `solve`.
        learning_rate: Peak learning rate of the head. Required, except by a stage with `solve`.
        warmup: The rate rises linearly to its peak over this many steps (`int`), or this fraction of
            the stage's steps (`float` below 1). Groups that trained before start from their last
            rate, but at most from the new peak. Defaults to 0.
        decay: What follows the warmup: `"constant"`, or `"linear"` or `"cosine"` down to zero at
            the end of the stage's epochs. Defaults to `"constant"`.
        layer_decay: The factor from each block's rate to that of the block below it, starting at the
            head (discriminative rates: Howard and Ruder 2018, https://arxiv.org/abs/1801.06146).
            Defaults to 1.
        name: Shown in tables. Defaults to a name made from `unfreeze` and `only`.
        only: Which weights train in the blocks that `unfreeze` opens; the head trains as a whole.
            `"adapters"` are those of `kft.LoRA`, `"norms"` gamma and beta of normalisation layers,
            `"biases"` all added vectors, including beta (BitFit: Ben Zaken et al. 2022,
            https://arxiv.org/abs/2106.10199); or a list of these. Statistics of BatchNorm move if
            norms train and `batch_norm="train"`. Defaults to all weights.
        solve: True computes the best linear head on the frozen features directly, without a step: the
            minimum of the loss with an L2 penalty, whose strength is chosen by cross-validation on
            the training data (Kumar et al. 2022, https://arxiv.org/abs/2202.10054, fine-tune from
            there). The next stage starts with a softer head, shrunk towards a constant until the
            training loss leaves the backbone something to learn from. It takes one epoch, in which
            data are only evaluated. It is the first stage of a recipe's fit, with `unfreeze=0`, and
            has neither epochs nor a rate. Defaults to False.

    Raises:
        InputError: If a value is out of its range.

    Example:

    ```python
    [
        kft.Stage(unfreeze=0, solve=True),
        kft.Stage(unfreeze=2, epochs=5, learning_rate=1e-4, warmup=0.1),
    ]
    ```
    """

    unfreeze: int | Literal["all"] | Sequence[str]
    epochs: int = 0
    learning_rate: float = 0.0
    warmup: float | int = 0.0
    decay: Decay = "constant"
    layer_decay: float = 1.0
    name: str | None = None
    solve: bool = False
    only: str | Sequence[str] | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        object.__setattr__(self, "unfreeze", self._checked_unfreeze())
        object.__setattr__(self, "only", self._checked_only())
        self._require("solve", isinstance(self.solve, bool), "pass True or False.")
        if self.solve:
            self._check_solving()
        else:
            self._require("epochs", is_whole(self.epochs, 1), "pass a whole number of at least 1.")
            self._require(
                "learning_rate",
                is_number(self.learning_rate) and self.learning_rate > 0,
                "pass a positive number, such as 1e-3 for a new head or 1e-5 for a whole backbone.",
            )
        self._require(
            "warmup",
            is_whole(self.warmup, 0) or (is_number(self.warmup) and 0 <= self.warmup < 1),
            "pass a number of steps (int), or a fraction of the stage's steps (float from 0 up to, "
            "not including, 1).",
        )
        self._require(
            "decay",
            isinstance(self.decay, str) and self.decay in ("constant", "linear", "cosine"),
            "pass 'constant', 'linear' or 'cosine'.",
        )
        self._require(
            "layer_decay",
            is_number(self.layer_decay) and 0 < self.layer_decay <= 1,
            "pass a factor above 0 and at most 1.",
        )
        text = self.name if isinstance(self.name, str) else ""
        self._require(
            "name",
            self.name is None or bool(text.strip() and printable(text).plain == text),
            "pass some text of printable letters, or None for a name made from `unfreeze`.",
        )

    def _check_solving(self) -> None:
        self._require(
            "unfreeze", self.unfreeze == 0, "a stage that solves takes 0, the head alone."
        )
        takes_one = is_whole(self.epochs, 0, 1)
        self._require("epochs", takes_one, "leave it out: a stage that solves takes one epoch.")
        object.__setattr__(self, "epochs", 1)
        for name in ("learning_rate", "warmup"):
            given = getattr(self, name)
            has_none = is_number(given) and given == 0
            self._require(name, has_none, "leave it out: a stage that solves takes no steps.")
        for name, none in (("decay", "constant"), ("layer_decay", 1.0)):
            has_none = getattr(self, name) == none
            self._require(name, has_none, "leave it out: a stage that solves takes no steps.")

    def _checked_unfreeze(self) -> int | str | tuple[str, ...]:
        unfreeze: Any = self.unfreeze
        if is_whole(unfreeze, 0):
            return int(unfreeze)
        if isinstance(unfreeze, str) and unfreeze == "all":
            return unfreeze
        is_list = isinstance(unfreeze, Sequence) and not isinstance(unfreeze, str) and unfreeze
        self._require(
            "unfreeze",
            is_list and all(isinstance(pattern, str) and pattern for pattern in unfreeze),
            "pass 0 for the head alone, a number of blocks, 'all', or a list of layer-name patterns "
            "such as ['conv5_*'].",
        )
        return tuple(unfreeze)

    def _checked_only(self) -> tuple[str, ...] | None:
        only: Any = (self.only,) if isinstance(self.only, str) else self.only
        if only is None:
            return None
        known = isinstance(only, Sequence) and only and all(one in PARTS for one in only)
        *most, last = map(repr, PARTS)
        advice = f"pass {', '.join(most)} or {last}, a list of them, or None for all weights."
        self._require("only", known, advice)
        way_out = "leave it out: only the head trains here, and always as a whole."
        self._require("only", self.unfreeze != 0, way_out)
        return tuple(dict.fromkeys(only))

    def _require(self, name: str, condition: Any, advice: str) -> None:
        if not condition:
            raise SettingError(name, getattr(self, name), advice)

    @property
    def label(self) -> str:
        """The stage's name, or one made from the weights it trains."""
        if self.name is not None:
            return self.name
        if self.unfreeze == 0:
            return "solved head" if self.solve else "head"
        if isinstance(self.unfreeze, int):
            where = f"top {self.unfreeze}"
        else:
            where = "all" if self.unfreeze == "all" else " ".join(self.unfreeze)
        if self.only is None:
            return where
        what = " and ".join(self.only)
        return what if self.unfreeze == "all" else f"{what} of {where}"

    def to_dict(self) -> dict[str, Any]:
        """Return the stage as plain values, without defaults."""
        values = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.default is dataclasses.MISSING or value != field.default:
                values[field.name] = list(value) if isinstance(value, tuple) else value
        return values


class SettingError(InputError):
    """An error about a setting of a stage; a reader of files adds where it is."""

    def __init__(self, name: str, value: Any, advice: str) -> None:
        self.name, self.value, self.advice = name, value, advice
        super().__init__(f"Stage: `{name}={shown(value)}`: {advice}")


def checked_stages(stages: Sequence[Stage | dict[str, Any]]) -> tuple[Stage, ...]:
    """Return stages from `Stage` objects or dictionaries of their arguments.

    Raises:
        InputError: If there are none, or one of them is not a stage.
    """
    if isinstance(stages, (Stage, dict, str)) or not isinstance(stages, Sequence) or not stages:
        raise InputError(
            f"`stages={shown(stages)}`: pass a list of at least one kft.Stage, such as "
            "[kft.Stage(unfreeze=0, epochs=3, learning_rate=1e-3)]."
        )
    return _first_solves(
        stage if isinstance(stage, Stage) else _from_values(stage, f"Stage {number}", _in_python)
        for number, stage in enumerate(stages, start=1)
    )


def stage_of_epoch(stages: Sequence[Stage], epoch: int) -> tuple[int, int]:
    """Return the stage of an epoch if no stage ends early, and the epochs done in it.

    Args:
        stages: The stages.
        epoch: The epoch of the run, from 0.

    Raises:
        InputError: If the stages end before the epoch.
    """
    ends = list(itertools.accumulate(stage.epochs for stage in stages))
    for index, end in enumerate(ends):
        if epoch < end:
            return index, epoch - (end - stages[index].epochs)
    raise InputError(
        f"`initial_epoch={epoch}`, but the stages end after {ends[-1]} epochs: pass an earlier "
        "epoch, or longer stages."
    )


def read_stages(path: str | os.PathLike[str]) -> tuple[Stage, ...]:
    """Read stages from a YAML file: a list with the arguments of one `Stage` per entry.

    Raises:
        InputError: If the file is missing, too large, not a regular file or not plain YAML, or contains
            something else.
    """
    found = read_yaml(path, "stages file")
    named = f"the stages file {os.fspath(path)!r}"
    if not isinstance(found, list) or not found:
        held = "nothing" if found in (None, []) else f"one {type(found).__name__}"
        raise InputError(
            f"{named} holds {held}, expected a list: one '- unfreeze: 0' with 'epochs' and "
            "'learning_rate' for each stage."
        )
    return _first_solves(
        _from_values(values, f"{named}, stage {number}", _in_yaml)
        for number, values in enumerate(found, start=1)
    )


def write_stages(path: str | os.PathLike[str], stages: Sequence[Stage]) -> None:
    """Write stages to a YAML file for `read_stages` and `kft fit --stages`."""
    text = yaml.safe_dump([stage.to_dict() for stage in stages], sort_keys=False)
    pathlib.Path(path).write_text(text, encoding="utf-8")


def _first_solves(stages: Iterable[Stage]) -> tuple[Stage, ...]:
    checked = tuple(stages)
    for number, stage in enumerate(checked[1:], start=2):
        if stage.solve:
            raise InputError(
                f"Stage {number} has `solve=True`, which would replace what the stages before it have "
                "trained: make it the first."
            )
    return checked


def _from_values(values: Any, place: str, spelled: Callable[[str, Any], str]) -> Stage:
    names = [field.name for field in dataclasses.fields(Stage)]
    if not isinstance(values, dict):
        raise InputError(
            f"{place} is {shown(values)}, expected a stage with {', '.join(names[:3])}."
        )
    unknown = [key for key in values if key not in names]
    needed = names[:1] if values.get("solve") is True else names[:3]
    missing = [name for name in needed if name not in values]
    if unknown or missing:
        problems = [f"has unknown settings {shown(unknown)}"] if unknown else []
        problems += [f"lacks {', '.join(missing)}"] if missing else []
        raise InputError(f"{place} {' and '.join(problems)}: a stage takes {', '.join(names)}.")
    try:
        return Stage(**values)
    except SettingError as error:
        setting = spelled(error.name, error.value)
        raise InputError(f"{place}: `{setting}`: {error.advice}") from error


def _in_python(name: str, value: Any) -> str:
    return f"{name}={shown(value)}"


def _in_yaml(name: str, value: Any) -> str:
    return f"{name}: {shortened(json.dumps(value, ensure_ascii=False))}"
