"""Tasks saved as JSON, which names a class without importing it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kft.arguments import shown
from kft.errors import InputError
from kft.import_path import can_be_one_class, path_of_class
from kft.tasks.classification import Classification, MultiLabel
from kft.tasks.detection import Detection
from kft.tasks.next_token import NextToken
from kft.tasks.regression import Regression
from kft.tasks.segmentation import Segmentation
from kft.tasks.several import Several
from kft.tasks.spans import Spans
from kft.tasks.tagging import Tagging
from kft.tasks.task import Task

SHORT: dict[str, type[Task]] = {
    kind.name: kind
    for kind in (
        Classification,
        Detection,
        MultiLabel,
        NextToken,
        Regression,
        Segmentation,
        Spans,
        Tagging,
    )
}
_OF_KFT = {path_of_class(kind): kind for kind in (*SHORT.values(), Several)}
_SHORT = ("num_classes", "num_values", "hidden", "dropout", "label_smoothing")


def described(task: Task) -> Any:
    """Return what `recipe.json` stores for a task.

    This is its short name if that and the recipe's arguments describe it; otherwise its name, class
    and arguments.
    """
    if type(task) in SHORT.values():
        by_recipe = (*_SHORT, *task.set_by_recipe)
        own = [one for one in dataclasses.fields(task) if one.name not in by_recipe]
        if all(getattr(task, one.name) == one.default for one in own):
            return task.name
    return task.described()


def restored(saved: Any, own: Collection[type[Task]] = ()) -> Any:
    """Return the task that `described` returned, or its short name.

    kft's own classes are known by name. A name in a file never imports anything.

    Args:
        saved: What `described` returned, from a file that may be untrusted.
        own: Your own task classes that the task, or a task inside it, may be an instance of.

    Raises:
        InputError: If it describes no task, or its class is neither part of kft nor in `own`.
    """
    if isinstance(saved, str):
        return saved
    if not isinstance(saved, Mapping) or not isinstance(saved.get("class"), str):
        raise InputError(f"`task={shown(saved)}` describes no task.")
    path, arguments = saved["class"], dict(saved.get("arguments") or {})
    kind = _OF_KFT.get(path)
    if kind is None:
        kind = next((one for one in own if can_be_one_class(path, path_of_class(one))), None)
    if kind is None:
        raise InputError(_ask_for(path))
    if issubclass(kind, Several):
        arguments["tasks"] = {key: restored(one, own) for key, one in arguments["tasks"].items()}
    return kind(**arguments)


def own_classes(task: Task) -> list[type[Task]]:
    """Return the classes of a task, and of the tasks inside it, that are not part of kft."""
    inner = task.tasks.values() if isinstance(task, Several) else ()
    kinds = [type(task), *(kind for one in inner for kind in own_classes(one))]
    return list(dict.fromkeys(kind for kind in kinds if kind not in _OF_KFT.values()))


def checked_classes(given: type[Task] | Sequence[type[Task]]) -> list[type[Task]]:
    """Return one or several task classes as a list.

    Raises:
        InputError: If one is not a task class.
    """
    classes = [given] if isinstance(given, type) else list(given)
    for one in classes:
        if not (isinstance(one, type) and issubclass(one, Task)):
            raise InputError(
                f"`task={shown(one)}` is not a task's class: pass a subclass of kft.tasks.Task."
            )
    return classes


def check_used(task: Task, own: Collection[type[Task]]) -> None:
    """Check that a task uses each of the passed classes.

    Raises:
        InputError: If it does not use one of `own`.
    """
    used = own_classes(task)
    for one in own:
        if one not in used:
            raise InputError(
                f"the run's task is {shown(task)}, but `{path_of_class(one)}` was passed: pass the "
                "class that it was trained with, or none for a task of kft."
            )


def _ask_for(path: str) -> str:
    module, _, name = path.rpartition(":")
    where = f"--task {path}"
    if module == "__main__":
        where = f"--task MODULE:{name} once the class lies in a module"
    return (
        f"its task is of the class `{path:.200}`, which does not come with kft; a run is data, not "
        "code, so what it names is not imported. If you have that class, pass it: "
        f"kft.load(RUN, task={name:.100}), or on the command line {where:.300}."
    )
