"""`kft.Cache`: whether, where and how the output of what is frozen is kept."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any, Self

from kft.arguments import check_choice, check_whole, make_plain, path_of
from kft.arguments.calls import CheckedCalls
from kft.cache.dtypes import DTYPES
from kft.runs.identity import may_change

CACHING = ("auto", True, False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cache(CheckedCalls):
    """What a stage keeps frozen runs once over the data, and its output is kept on disk.

    The result is the same with and without.

    Args:
        on: `"auto"` where it pays, which is measured on this machine as a fit begins, True wherever
            it changes nothing, or False. The plan says what was decided, and a run that resumes
            keeps to it.
        directory: Where the outputs lie; several runs may share it. Defaults to the run directory,
            or without one to a temporary directory.
        dtype: `"float32"`, or `"float16"` or `"bfloat16"` for half the space, rounded.
        views: With `augment`, how many augmented views of each training example are made once and
            kept, of which each epoch takes the next. Defaults to 0, which augments anew in every epoch
            and leaves nothing to keep.

    Raises:
        InputError: If a value is out of its range.

    Example:

    ```python
    recipe.fit("photos", cache=kft.Cache(directory="features", dtype="float16"))
    ```
    """

    on: bool | str = dataclasses.field(
        default="auto",
        kw_only=False,
        metadata=may_change("a run that goes on keeps what was decided when it began"),
    )
    directory: str | os.PathLike | None = dataclasses.field(
        default=None, metadata=may_change("where features lie")
    )
    dtype: str = "float32"
    views: int = 0

    def __post_init__(self) -> None:
        make_plain(self)
        check_choice("cache", self.on, CACHING)
        if self.directory is not None:
            object.__setattr__(self, "directory", path_of("directory", self.directory))
        check_choice("dtype", self.dtype, tuple(DTYPES))
        check_whole("views", self.views, "views", least=0)

    @classmethod
    def of(cls, value: Any) -> Self:
        """Return what was passed as `cache`: a `Cache`, or what its `on` is."""
        return value if isinstance(value, cls) else cls(value)

    @property
    def path(self) -> Path | None:
        """The directory as a path."""
        return None if self.directory is None else Path(self.directory)
