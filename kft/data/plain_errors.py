"""Errors of a `tf.data.Dataset` in one line, extracted from the messages of TensorFlow's graphs."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator

from kft.errors import InputError

__all__ = ["DECODING", "plain_errors"]

_LONGEST = 200  # characters of a reason
DECODING = "kft_decoding"  # the scope of the ops that decode the images of a stream

# TensorFlow wraps our messages in its own, in brackets or before a traceback.
_OURS = re.compile(r"InputError: (.+?)(?:\]\n|\nTraceback|\Z)", re.DOTALL)
_PLACE = re.compile(r"^.*Iterator::\S+: ")
# The error of user code that TensorFlow called, and where it was raised.
_PYTHON = re.compile(
    r"(?:^|[\s}])((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*: [^\n]*)\nTraceback \(most recent call last\):\n(.*)",
    re.DOTALL,
)
_FRAME = re.compile(r'^  File "([^"]+)", line (\d+)', re.MULTILINE)
_OF_DATASET = re.compile(r"Op:(?:IteratorGetNext|ReduceDataset)\b|node IteratorGetNext\b")
_OPERATION = re.compile(r"^(?:Graph execution error:.*?\n)?(?:\{\{.*?\}\} )?", re.DOTALL)


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Turn errors of a stream in TensorFlow's graph into an `InputError`.

    These come from checks and decoders of images, from Python code such as a generator, and from
    operations of the dataset.
    """
    try:
        yield
    except Exception as error:
        tensorflow = sys.modules.get("tensorflow")
        if tensorflow is None or not isinstance(error, tensorflow.errors.OpError):
            raise
        ours = _OURS.search(error.message)
        if ours is not None:
            raise InputError(ours[1]) from error
        if f"{DECODING}/" in error.message:
            reason = _PLACE.sub("", error.message.splitlines()[0])[:200]
            raise InputError(
                f"an image of the tf.data.Dataset cannot be decoded ({reason}), but JPEG, PNG, GIF, "
                "BMP or still WebP is expected: leave it out, or convert it"
            ) from error
        python = _PYTHON.search(error.message)
        if python is not None:
            raised, frames = python[1][:_LONGEST], _FRAME.findall(python[2])
            where = f" in line {frames[-1][1]} of {frames[-1][0]}" if frames else ""
            raise InputError(
                f"the data cannot be read: Python code that yields them raised {raised!r}{where}"
            ) from error
        if not _OF_DATASET.search(error.message):
            raise
        reason = _PLACE.sub("", _OPERATION.sub("", error.message).splitlines()[0])[:_LONGEST]
        raise InputError(f"the tf.data.Dataset cannot be read: {reason}") from error
