"""Output while Keras and TensorFlow are imported, whichever command imports them first."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from kft import library_logs

# Runs in a separate process, so that the last output of a process that crashes on import is not lost.
_FILTER = r"""
import re, sys
noise = re.compile(
    rb"WARNING: All log messages before absl::|[IWE]\d{4} [\d:.]+ |normalizer\.cc\(\d+\) LOG\(INFO\)"
)
for line in sys.stdin.buffer:
    if not noise.match(line):
        sys.stderr.buffer.write(line)
        sys.stderr.flush()
"""
_PATIENCE = 5.0  # seconds for the filter to end once nothing writes to it


def quieten() -> None:
    """Suppress the logs of TensorFlow, SentencePiece and Hugging Face; errors are still raised.

    At a terminal a line is shown until Keras is imported. The log level silences TensorFlow once it
    runs, but not its libraries while they are loaded.
    """
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # or each retry of a download is logged
    library_logs.leave_out(_filtered_stderr)
    installed = any(isinstance(finder, _QuietFinder) for finder in sys.meta_path)
    if "tensorflow" not in sys.modules and not installed:
        sys.meta_path.insert(0, _QuietFinder())


class _QuietFinder(MetaPathFinder):
    """Wrap the loaders of Keras and TensorFlow: announce the former, and load the latter quietly."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname != "keras" and fullname != "tensorflow":
            return None
        aside = _starting if fullname == "keras" else _quiet_tensorflow
        others = [one for one in sys.meta_path if one is not self and hasattr(one, "find_spec")]
        found = (one.find_spec(fullname, path, target) for one in others)
        spec = next((one for one in found if one is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _QuietLoader(spec.loader, aside)
        return spec


class _QuietLoader(Loader):
    def __init__(self, loader: Loader, aside: Callable[[], AbstractContextManager[None]]) -> None:
        self.loader, self.aside = loader, aside

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self.loader  # hides this wrapper from others
        with self.aside():
            self.loader.exec_module(module)


@contextlib.contextmanager
def waiting(line: str) -> Iterator[None]:
    """Show a line at a terminal while code runs, such as "Loading runs/photos ..."."""
    shown = sys.stderr is not None and sys.stderr.isatty()
    line = line[: shutil.get_terminal_size().columns - 1]  # a second line could not be cleared
    if shown:
        print(line, end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if shown:
            print(f"\r{' ' * len(line)}\r", end="", file=sys.stderr, flush=True)


def _starting() -> AbstractContextManager[None]:
    return waiting("Starting Keras ...")


@contextlib.contextmanager
def _quiet_tensorflow() -> Iterator[None]:
    with _filtered_stderr():
        yield
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


@contextlib.contextmanager
def _filtered_stderr() -> Iterator[None]:
    """Pass standard error, also that of C++ libraries, through a filter."""
    try:
        sys.stderr.flush()
        own = os.dup(2)
    except (AttributeError, OSError, ValueError):  # there is no standard error
        yield
        return
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _FILTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C must not reach the filter
    ) as reader:
        assert reader.stdin is not None
        os.dup2(reader.stdin.fileno(), 2)
        reader.stdin.close()
        try:
            yield
        finally:
            with contextlib.suppress(ValueError):
                sys.stderr.flush()
            os.dup2(own, 2)
            os.close(own)
            with contextlib.suppress(subprocess.TimeoutExpired):
                reader.wait(_PATIENCE)
            reader.kill()  # usually it has ended, unless another process keeps our standard error open
