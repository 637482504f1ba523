"""The contract of a task: its promises, checked on a tiny family with the features it needs."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from kft.errors import InputError
from kft.tasks import Task
from kft.testing.checks import require
from kft.testing.families import (
    TinyImages,
    TinyLanguage,
    TinyTexts,
    save_tiny_bert,
    save_tiny_llama,
)
from kft.testing.recipes import check_recipe


def check_task(
    task: Task,
    data: Any,
    *,
    directory: Any = None,
    leave_out: Collection[str] = (),
) -> None:
    """Check that a task fulfils the contract of a recipe with it.

    Args:
        task: The task.
        data: Labelled data as for `fit`. Their inputs must be images or texts, whatever the task is
            for; `kft.testing.families` has `tiny_images` and `tiny_texts`.
        directory: As in `check_recipe`.
        leave_out: As in `check_recipe`.

    Raises:
        ContractError: If a promise is broken; the message names the step.
        InputError: If kft itself refuses the task or the data.

    Example:

    ```python
    from kft.testing import families

    def test_my_task():
        kft.testing.check_task(Boxes(), (families.tiny_images(24), boxes))
    ```
    """
    if not isinstance(task, Task):
        raise InputError(f"`task={task!r}` is not a kft.tasks.Task: pass an object of the class.")
    config = task.config()
    require(json.loads(json.dumps(config)) is not None, "config", "`config` gives no JSON")
    with tempfile.TemporaryDirectory() as folder:
        needs = (task.needs,) if isinstance(task.needs, str) else task.needs
        if set(needs) <= set(TinyImages.gives) and not _are_texts(data):
            check_recipe(
                lambda: TinyImages(task=task), data, directory=directory, leave_out=leave_out
            )
            return
        if set(needs) <= set(TinyLanguage.gives):
            preset = save_tiny_llama(Path(folder) / "preset")
            check_recipe(
                lambda: TinyLanguage(preset, task=task),
                data,
                directory=directory,
                leave_out=leave_out,
            )
            return
        preset = save_tiny_bert(Path(folder) / "preset")
        # Dropout in frozen layers would prevent caching up to the head, and unseeded dropout draws from
        # PyTorch's global generator, which a fit with cached features uses differently.
        check_recipe(
            lambda: TinyTexts(preset, task=task, backbone_dropout=0.0),
            data,
            directory=directory,
            leave_out=leave_out,
        )


def _are_texts(data: Any) -> bool:
    return isinstance(data, tuple) and len(data) == 2 and isinstance(data[0][0], str)
