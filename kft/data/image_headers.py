"""Checks of encoded images by their headers, before decoding, in graph ops.

A few hundred kilobytes can declare a billion pixels, or hold gigabytes of compressed text, thousands
of frames or scans. A server must refuse them without decoding.
"""

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

from kft.data.gif import first_frame

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["NOT_AN_IMAGE", "UNDECODABLE", "judge", "too_large"]

NOT_AN_IMAGE = "not a JPEG, PNG, GIF, BMP or WebP image"
UNDECODABLE = "cannot be decoded"
_MOST_SCANS = 64  # of a progressive JPEG, each over all its pixels; encoders write about ten
_MOST_TEXTS = 16  # compressed chunks of a PNG, each of which may grow to 8 MB
_HEAD = 32


def too_large(max_pixels: int) -> str:
    """Return the status of an image with more pixels."""
    return f"more than {max_pixels} pixels"


def judge(
    encoded: "tf.Tensor", image_size: tuple[int, int], max_pixels: int
) -> tuple["tf.Tensor", "tf.Tensor"]:
    """Check whether an encoded image may be decoded.

    Args:
        encoded: Scalar string tensor.
        image_size: The (height, width) that it will be resized to; a lower image counts as one of
            this height, since resizing it takes as much memory.
        max_pixels: The largest width times height.

    Returns:
        The status, a scalar string tensor: empty, or why the image is refused; and the bytes to
        decode: a GIF with only its first frame, any other image unchanged.

    Raises:
        tf.errors.InvalidArgumentError: A JPEG's header is broken.
    """
    import tensorflow as tf

    head = tf.concat(
        [
            tf.io.decode_raw(tf.strings.substr(encoded, 0, _HEAD), tf.uint8),
            tf.zeros([_HEAD], tf.uint8),
        ],
        0,
    )
    begins = [
        _says(head, 0, b"\xff\xd8\xff"),
        _says(head, 0, b"\x89PNG\r\n\x1a\n"),
        _says(head, 0, b"GIF8"),
        _says(head, 0, b"BM"),
        _says(head, 0, b"RIFF") & _says(head, 8, b"WEBP"),
        tf.constant(True),
    ]
    readers = [_jpeg, _png, _gif, _bmp, _webp, _other]
    kind = tf.argmax(tf.stack(begins), output_type=tf.int32)
    claim = tf.switch_case(kind, [functools.partial(read, encoded, head) for read in readers])
    is_known = kind < len(readers) - 1
    # A division, since the product of a PNG's width and height may overflow 64 bits.
    is_small = claim.width <= max_pixels // tf.maximum(claim.height, image_size[0])
    status = tf.where(
        ~is_known,
        NOT_AN_IMAGE,
        tf.where(~claim.is_fine, UNDECODABLE, tf.where(is_small, "", too_large(max_pixels))),
    )
    return status, claim.image


class _Claim(NamedTuple):
    """The content of a header: bytes to decode, width and height (int64), and whether it is safe."""

    image: Any
    width: Any
    height: Any
    is_fine: Any


def _jpeg(encoded: Any, head: Any) -> _Claim:
    import tensorflow as tf

    shape = tf.io.extract_jpeg_shape(encoded, output_type=tf.int32)
    height, width = tf.cast(shape[0], tf.int64), tf.cast(shape[1], tf.int64)
    data = tf.io.decode_raw(encoded, tf.uint8)
    scans = tf.math.count_nonzero((data[:-1] == 0xFF) & (data[1:] == 0xDA))
    return _Claim(encoded, width, height, scans <= _MOST_SCANS)


def _png(encoded: Any, head: Any) -> _Claim:
    import tensorflow as tf

    # By chance these names occur in other data too, but far less often.
    texts = rf"\C*((zTXt|iTXt|iCCP)\C*){{{_MOST_TEXTS + 1}}}"
    is_fine = _says(head, 12, b"IHDR") & ~tf.strings.regex_full_match(encoded, texts)
    width, height = _number(head, 16, 4, big=True), _number(head, 20, 4, big=True)
    return _Claim(encoded, width, height, is_fine)


def _gif(encoded: Any, head: Any) -> _Claim:
    import tensorflow as tf

    frame, width, height = first_frame(encoded)
    return _Claim(frame, width, height, tf.strings.length(frame) > 0)


def _bmp(encoded: Any, head: Any) -> _Claim:
    import tensorflow as tf

    width, height = _number(head, 18, 4), _number(head, 22, 4)
    top_down = height >= 2**31  # a negative height
    height = tf.where(top_down, 2**32 - height, height)
    return _Claim(encoded, width, height, tf.constant(True))


def _webp(encoded: Any, head: Any) -> _Claim:
    import tensorflow as tf

    sizes = []
    for axis in (0, 1):
        plain = _number(head, 26 + 2 * axis, 2) % 2**14
        lossless = _number(head, 21, 4) // 2 ** (14 * axis) % 2**14 + 1
        extended = _number(head, 24 + 3 * axis, 3) + 1
        is_lossless, is_extended = _says(head, 12, b"VP8L"), _says(head, 12, b"VP8X")
        sizes.append(tf.where(is_extended, extended, tf.where(is_lossless, lossless, plain)))
    width, height = sizes
    return _Claim(encoded, width, height, tf.constant(True))


def _other(encoded: Any, head: Any) -> _Claim:
    import tensorflow as tf

    zero = tf.constant(0, tf.int64)
    return _Claim(tf.constant(""), zero, zero, tf.constant(True))


def _says(head: Any, position: int, expected: bytes) -> Any:
    import tensorflow as tf

    return tf.reduce_all(
        head[position : position + len(expected)] == tf.constant(list(expected), tf.uint8)
    )


def _number(head: Any, position: int, length: int, big: bool = False) -> Any:
    """Return the unsigned number of `length` bytes at `position`."""
    import tensorflow as tf

    powers = [256**exponent for exponent in range(length)]
    digits = tf.cast(head[position : position + length], tf.int64)
    return tf.reduce_sum(digits * tf.constant(powers[::-1] if big else powers, tf.int64))
