"""Loading of raw clips as pixels, for training, `predict`, streams and servers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.data import images
from kft.data.clips.errors import BadClipError
from kft.data.clips.reading import sampled
from kft.data.files import shown
from kft.data.image_decoding import resize
from kft.data.image_files import MAX_PIXELS
from kft.data.pixels import check_shape
from kft.data.served_images import decode_rows
from kft.data.threads import map_in_threads
from kft.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["as_model_clips", "decode_clips", "load_clips"]


def load_clips(
    clips: Sequence[Any] | np.ndarray,
    frames: int,
    image_size: tuple[int, int],
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Sample the frames at the midpoints of equal segments of clips, and resize them.

    Args:
        clips: Clips as for `kft.data.clips.reading.sampled`.
        frames: Frames per clip.
        image_size: (height, width).
        max_pixels: The largest frame to decode, width times height.

    Returns:
        float32 `[n, frames, height, width, 3]`, 0 to 255.

    Raises:
        InputError: A clip cannot be decoded; the message names it.
    """
    found = np.zeros((len(clips), frames, *image_size, 3), np.float32)

    def resized(frame: np.ndarray) -> np.ndarray:
        return images.load(frame[None], image_size)[0]

    def take(place: int) -> None:
        try:
            taken = sampled(clips[place], frames, max_pixels, resized)
        except BadClipError as error:
            clip = clips[place]
            name = shown(clip) if isinstance(clip, str) else f"clip {place}"
            raise InputError(
                f'{name}: {error}. Remove it, convert it, or pass on_bad_example="skip"'
            ) from error
        found[place] = _pixels(taken, image_size)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, as in `check_clips`
        map_in_threads(take, range(len(clips)))
    return found


def _pixels(frames: list[Any], image_size: tuple[int, int]) -> np.ndarray:
    """Return the frames of one clip, resized; repeated ones are decoded and resized once."""
    places: dict[int, int] = {}
    for frame in frames:
        places.setdefault(id(frame), len(places))
    different = {id(frame): frame for frame in frames}
    each = [different[key] for key in places]
    if isinstance(each[0], np.ndarray):
        made = np.concatenate([images.load(frame[None], image_size) for frame in each])
    else:
        made = images.load(each, image_size)
    return made[[places[id(frame)] for frame in frames]]


def decode_clips(
    encoded: tf.Tensor, image_size: tuple[int, int], max_pixels: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decode and resize the clips whose frames are all valid, in a `tf.function` or SavedModel.

    Args:
        encoded: Encoded frames, a string tensor `[n, frames]`; n may be unknown or 0.
        image_size: (height, width).
        max_pixels: The largest frame to decode, width times height.

    Returns:
        float32 `[m, frames, height, width, 3]`, 0 to 255, of the m valid clips; and a string tensor
        `[n]` with the status of each clip: empty, or why its first bad frame is bad.
    """
    import tensorflow as tf

    count = encoded.shape[1]
    pixels, each = decode_rows(tf.reshape(encoded, [-1]), image_size, max_pixels)
    by_clip = tf.reshape(each, [-1, count])
    is_good = tf.equal(by_clip, "")
    whole = tf.reduce_all(is_good, axis=1)
    first = tf.argmin(tf.cast(is_good, tf.int32), axis=1)
    reason = tf.strings.join(
        ["frame ", tf.strings.as_string(first), ": ", tf.gather(by_clip, first, batch_dims=1)]
    )
    # Among the decoded frames, select those of clips without a bad frame.
    kept = tf.boolean_mask(tf.repeat(whole, count), tf.reshape(is_good, [-1]))
    frames = tf.cond(tf.reduce_all(whole), lambda: pixels, lambda: tf.boolean_mask(pixels, kept))
    clips = tf.reshape(frames, [-1, count, *image_size, 3])
    return clips, tf.ensure_shape(tf.where(whole, "", reason), [None])


def as_model_clips(dataset: Any, frames: int, image_size: tuple[int, int]) -> Any:
    """Resize the clips of a `tf.data.Dataset` of batches `(clips, targets, ...)`.

    Args:
        dataset: A dataset of arrays `[n, frames, h, w, c]` with 1, 3 or 4 channels.
        frames: Frames per clip.
        image_size: (height, width).

    Returns:
        A dataset of clips `[n, frames, *image_size, 3]`; the dataset itself if its clips have no shape.

    Raises:
        InputError: The clips have another number of axes, frames or channels.
    """
    shape = getattr(getattr(dataset, "element_spec", (None,))[0], "shape", None)
    if shape is None:
        return dataset
    if shape.rank != 5 or shape[1] != frames:
        raise InputError(
            f"the tf.data.Dataset yields clips of shape {shape}, but [n, {frames}, height, width, "
            "channels] is expected: map a function that samples the frames, and batch the dataset"
        )
    check_shape(tuple(shape[1:]))

    def sized(clips: Any, *rest: Any) -> Any:
        import tensorflow as tf

        flat = tf.reshape(clips, [-1, *tf.unstack(tf.shape(clips)[2:])])
        flat = tf.ensure_shape(flat, [None, *shape[2:]])
        if shape[-1] != 3:
            flat = tf.repeat(flat, 3, axis=-1) if shape[-1] == 1 else flat[..., :3]
        return tf.reshape(resize(flat, image_size), [-1, frames, *image_size, 3]), *rest

    return dataset.map(sized)
