"""What is wrong with a `tf.data.Dataset` in a line, out of the errors of TensorFlow's graphs."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator

from kft.errors import InputError

__all__ = ["DECODING", "plain_errors"]

DECODING = "kft_decoding"  # the scope of the ops that decode the images of a stream

# TensorFlow hands on a message of ours inside its own, in brackets or before a traceback.
_OURS = re.compile(r"InputError: (.+?)(?:\]\n|\nTraceback|\Z)", re.DOTALL)
_PLACE = re.compile(r"^.*Iterator::\S+: ")


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Raise what a check said inside TensorFlow's graph, or a decoder of images, as an `InputError`."""
    try:
        yield
    except Exception as error:
        tensorflow = sys.modules.get("tensorflow")
        if tensorflow is None or not isinstance(error, tensorflow.errors.OpError):
            raise
        ours = _OURS.search(error.message)
        if ours is not None:
            raise InputError(ours[1]) from error
        if f"{DECODING}/" not in error.message:
            raise
        reason = _PLACE.sub("", error.message.splitlines()[0])[:200]
        raise InputError(
            f"an image of the tf.data.Dataset cannot be decoded ({reason}), but JPEG, PNG, GIF, BMP or "
            "still WebP is expected: leave it out, or convert it"
        ) from error
