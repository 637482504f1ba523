"""`kft.Cache`: whether, where and how the outputs of frozen layers are cached."""

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
    """The settings of the cache, with which frozen layers run once and their outputs are kept on disk.

    Results are the same with and without a cache, rounding and `views` aside.

    Args:
        on: `"auto"` caches where it saves time, which is measured on this machine as a fit begins;
            True caches wherever results stay the same, False never. The plan shows the decision, and
            a run that resumes keeps it.
        directory: The directory of the outputs, which several runs may share. Defaults to the run
            directory, or without one to a temporary directory.
        dtype: `"float32"`, or `"float16"` or `"bfloat16"` for half the space and less precision.
        views: With `augment`, the number of augmented views of each training example that are cached,
            of which each epoch uses the next. Defaults to 0: every epoch augments anew, so that
            training features are not cached.

    Raises:
        InputError: A value is out of its range.

    Example:

    ```python
    recipe.fit("photos", cache=kft.Cache(directory="features", dtype="float16"))
    ```
    """

    on: bool | str = dataclasses.field(
        default="auto",
        kw_only=False,
        metadata=may_change("a resumed run keeps the decision made when it began"),
    )
    directory: str | os.PathLike | None = dataclasses.field(
        default=None, metadata=may_change("it only says where features are stored")
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
        """Return the `Cache` for an argument `cache`: itself, or one with this value as `on`."""
        return value if isinstance(value, cls) else cls(value)

    @property
    def path(self) -> Path | None:
        """The directory as a path."""
        return None if self.directory is None else Path(self.directory)
