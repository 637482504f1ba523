"""The EXIF orientation of an encoded image, in TensorFlow graph ops that a SavedModel can hold.

Layouts: JPEG (ITU T.81 B.1.1), PNG chunks (W3C PNG, 5.3), RIFF chunks of WebP, and the TIFF
directory inside EXIF (CIPA DC-008, tag 0x0112). `read_orientation` does the same in Python.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["orientation", "read_orientation", "turn"]

_MENTIONS_EXIF = r"\C*(Exif|eXIf|EXIF)\C*"  # \C is any byte
_PADDING = 32  # zero bytes after the data, so that a header read at the end stays in bounds


def orientation(encoded: "tf.Tensor") -> "tf.Tensor":
    """Return the orientation in the EXIF data of a JPEG, PNG or WebP.

    Args:
        encoded: Scalar string tensor, a whole encoded image.

    Returns:
        Scalar int32 from 1 (upright, the default) to 8.
    """
    import tensorflow as tf

    # Most images have no EXIF, and searching for its name costs a tenth of following the structure.
    mentions_exif = tf.strings.regex_full_match(encoded, _MENTIONS_EXIF)
    return tf.cond(mentions_exif, lambda: _find(encoded), lambda: tf.constant(1, tf.int32))


def read_orientation(exif: bytes) -> int:
    """Return the orientation in EXIF data, 1 to 8, like `orientation` of a whole file.

    Pillow's own reader warns about damaged data, and also uses the orientation in XMP.

    Args:
        exif: The data, such as Pillow's `image.info["exif"]`; empty if an image has none.
    """
    data = exif.removeprefix(b"Exif\0\0")

    def number(place: int, length: int = 2) -> int:
        part = data[place : place + length]
        return int.from_bytes(part, "big" if data[:1] == b"M" else "little")

    first = number(4, 4) + 2
    count = min(number(first - 2), max(len(data) - first, 0) // 12)
    entries = range(first, first + 12 * count, 12)
    value = max((number(one + 8) for one in entries if number(one) == 0x0112), default=1)
    return value if 1 <= value <= 8 else 1


def turn(image: "tf.Tensor", orientation: "tf.Tensor") -> "tf.Tensor":
    """Turn `image` `[h, w, c]` upright, given its EXIF orientation (1 to 8)."""
    import tensorflow as tf

    upright = tf.switch_case(
        orientation - 1,
        [
            lambda: image,
            lambda: tf.reverse(image, [1]),
            lambda: tf.reverse(image, [0, 1]),
            lambda: tf.reverse(image, [0]),
            lambda: tf.transpose(image, [1, 0, 2]),
            lambda: tf.reverse(tf.transpose(image, [1, 0, 2]), [1]),
            lambda: tf.reverse(tf.transpose(image, [1, 0, 2]), [0, 1]),
            lambda: tf.reverse(tf.transpose(image, [1, 0, 2]), [0]),
        ],
    )
    return tf.ensure_shape(upright, [None, None, image.shape[-1]])


def _find(encoded: Any) -> Any:
    import tensorflow as tf

    data = tf.concat([tf.io.decode_raw(encoded, tf.uint8), tf.zeros([_PADDING], tf.uint8)], 0)
    size = tf.size(data, out_type=tf.int64) - _PADDING
    start = tf.case(
        [
            (_matches(data, 0, b"\xff\xd8"), lambda: _find_in_jpeg(data, size)),
            (_matches(data, 0, b"\x89PNG"), lambda: _find_in_png(data, size)),
            (_matches(data, 8, b"WEBP"), lambda: _find_in_webp(data, size)),
        ],
        default=lambda: tf.constant(0, tf.int64),
    )
    return tf.cond(
        start > 0, lambda: _read_tiff(data, size, start), lambda: tf.constant(1, tf.int32)
    )


def _matches(data: Any, position: Any, expected: bytes) -> Any:
    import tensorflow as tf

    return tf.reduce_all(
        data[position : position + len(expected)] == tf.constant(list(expected), tf.uint8)
    )


def _number(data: Any, position: Any, length: int, big: Any) -> Any:
    """Return the unsigned number of `length` bytes at `position`, big or little endian."""
    import tensorflow as tf

    digits = tf.cast(data[position : position + length], tf.int64)
    powers = tf.constant([256**exponent for exponent in reversed(range(length))], tf.int64)
    return tf.reduce_sum(tf.where(big, powers, tf.reverse(powers, [0])) * digits)


def _walk(position: int, size: Any, step: Any) -> Any:
    """Follow `step(position) -> (next position, start of TIFF data or 0, whether to continue)`."""
    import tensorflow as tf

    _, found, _ = tf.while_loop(
        lambda position, found, go_on: go_on & (found == 0) & (position + 12 <= size),
        lambda position, found, go_on: step(position),
        (tf.constant(position, tf.int64), tf.constant(0, tf.int64), tf.constant(True)),
        maximum_iterations=256,
    )
    return found


def _find_in_jpeg(data: Any, size: Any) -> Any:
    import tensorflow as tf

    def step(position: Any) -> tuple[Any, Any, Any]:
        marker, length = data[position + 1], _number(data, position + 2, 2, True)
        is_exif = (marker == 0xE1) & _matches(data, position + 4, b"Exif\0\0")
        # EXIF is in an application segment at the start, so the walk ends after these.
        go_on = (data[position] == 0xFF) & (
            ((marker >= 0xE0) & (marker <= 0xEF)) | (marker == 0xFE)
        )
        return position + 2 + length, tf.where(go_on & is_exif, position + 10, 0), go_on

    return _walk(2, size, step)


def _find_in_png(data: Any, size: Any) -> Any:
    import tensorflow as tf

    def step(position: Any) -> tuple[Any, Any, Any]:
        found = tf.where(_matches(data, position + 4, b"eXIf"), position + 8, 0)
        following = position + 12 + _number(data, position, 4, True)
        return following, found, ~_matches(data, position + 4, b"IDAT")

    return _walk(8, size, step)


def _find_in_webp(data: Any, size: Any) -> Any:
    import tensorflow as tf

    def step(position: Any) -> tuple[Any, Any, Any]:
        length = _number(data, position + 4, 4, False)
        # Some writers add JPEG's prefix before the TIFF data.
        start = (
            position
            + 8
            + tf.where(_matches(data, position + 8, b"Exif\0\0"), tf.constant(6, tf.int64), 0)
        )
        found = tf.where(_matches(data, position, b"EXIF"), start, 0)
        return position + 8 + length + length % 2, found, tf.constant(True)

    return _walk(12, size, step)


def _read_tiff(data: Any, size: Any, start: Any) -> Any:
    import tensorflow as tf

    big = data[tf.minimum(start, size)] == ord("M")
    directory = start + _number(data, tf.minimum(start + 4, size), 4, big)
    directory = tf.minimum(directory, size)  # a broken offset reads the zeros after the data
    room = tf.maximum((size - directory - 2) // 12, 0)
    count = tf.minimum(_number(data, directory, 2, big), room)
    entries = tf.cast(
        tf.reshape(data[directory + 2 : directory + 2 + 12 * count], [-1, 12]), tf.int32
    )

    def column(first: int) -> Any:
        high, low = entries[:, first], entries[:, first + 1]
        return tf.where(big, 256 * high + low, 256 * low + high)

    value = tf.reduce_max(tf.concat([tf.where(column(0) == 0x0112, column(8), 0), [0]], 0))
    return tf.where((value >= 1) & (value <= 8), value, 1)
