"""Recipes for clips made from recipes for images: frames pass through the backbone, then over time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import numpy as np

from kft.arguments import is_whole, shown
from kft.data.augment.clips import ClipAugmentation
from kft.data.augment.images import ImageAugmentation
from kft.data.clips.loading import as_model_clips, decode_clips, load_clips
from kft.data.clips.rows import check_clips_in_memory, clip_rows, raw_clips
from kft.data.examples import Examples
from kft.data.raw_texts import refuse_inputs
from kft.data.sequences import as_rows
from kft.data.stream_checks import StreamCheck, checked
from kft.errors import InputError
from kft.family.raw_examples import as_png
from kft.family.serving import ServingInputs
from kft.model.frames import FoldFrames, UnfoldFrames
from kft.model.over_time import TIMES, over_time

if TYPE_CHECKING:
    from kft.recipe.image import ImageRecipe

    _Images = ImageRecipe
else:  # its fields would override those of the recipe for images that it is combined with
    _Images = object

MOST = 1024  # frames per clip


@dataclass(kw_only=True, eq=False)
class Clips(_Images):
    """A mixin that makes a recipe for clips: `class MyRecipe(Clips, ResNetRecipe)`.

    The model takes float32 clips `(batch, frames, height, width, 3)` with values from 0 to 255. Its
    blocks, stages, weights and pretrained files are those of the recipe for images.

    Args:
        frames: Frames per clip, the middles of equal segments of its duration (Wang et al. 2016,
            https://arxiv.org/abs/1608.00859). Defaults to 8.
        time: How the features of the frames become one vector: `"average"`, whose head is linear and
            solved, `"attention"` or `"gru"`, the only one that uses the order of the frames, see
            `kft.model.over_time`. Defaults to `"average"`.

    Raises:
        InputError: If an argument is out of its range.
    """

    modality: ClassVar[str] = "clip"
    gives: ClassVar[tuple[str, ...]] = ("vector",)

    frames: int = 8
    time: str = "average"

    def __post_init__(self) -> None:
        if not is_whole(self.frames, 1, MOST):
            raise InputError(
                f"`frames={shown(self.frames)}`: pass a whole number from 1 to {MOST:,}, such as 8."
            )
        self.frames = int(self.frames)
        if self.time not in TIMES:
            known = ", ".join(map(repr, TIMES))
            raise InputError(f"`time={shown(self.time)}` is unknown: pass {known}.")
        super().__post_init__()

    def inputs(self) -> Any:
        """Return the model's input: float32 clips with values from 0 to 255."""
        return keras.Input((self.frames, *self.image_size, 3), dtype="float32", name="clip")

    def backbone(self, inputs: Any) -> Any:
        """Return features of the frames, which are folded into the batch: `(batch * frames, ...)`."""
        return super().backbone(FoldFrames(self.frames, name="fold_frames")(inputs))

    def features(self, need: str, backbone: Any, inputs: Any) -> Any:
        """Return a vector for each clip: pooled features of its frames, combined by `time`."""
        pooled = super().features(need, backbone, inputs)
        frames = UnfoldFrames(self.frames, name="head_frames")(pooled)
        return over_time(frames, self.time, self.seed)

    @property
    def head_is_linear(self) -> bool:
        """Whether the head can be solved; learned layers over time are part of it, and need training."""
        return self.time == "average" and super().head_is_linear

    def load(self, raw: Any) -> np.ndarray:
        """Sample frames of clips, and decode and resize them.

        Args:
            raw: Paths of videos, GIFs or folders of frames, contents of such files, lists of encoded
                frames, or clips as arrays `(frames, height, width, 3)` with values from 0 to 255, whose
                length and size may differ in a list.

        Returns:
            Float32 `(n, frames, *image_size, 3)`, values from 0 to 255.

        Raises:
            InputError: If one of them is not a clip, or cannot be decoded; or arrays have another shape.
        """
        rows = as_rows(raw, "raw")
        if len(rows):
            _, rows, reasons = clip_rows(rows, "raw", self.max_pixels)
            refuse_inputs(reasons)
        return load_clips(rows, self.frames, self.image_size, self.max_pixels)

    def input_identity(self) -> str:
        """Return the frames and the size; everything else is part of the model."""
        return f"clip {self.frames} {self.image_size}"

    def check_examples(self, examples: Examples) -> None:
        """Check that examples are clips, and that arrays have the range that the model expects."""
        if isinstance(examples.inputs, dict) or examples.kind not in (
            "arrays",
            "clip_files",
            "clip_bytes",
        ):
            what = "several inputs" if isinstance(examples.inputs, dict) else examples.kind
            raise InputError(
                f"{examples.source} has {what}, but {type(self).__name__} takes clips."
            )
        if examples.kind == "arrays":
            check_clips_in_memory(examples.inputs, examples.source)

    def raw_inputs(self, raw: Any) -> Any:
        """Return clips as a sequence; files are checked by their headers."""
        return raw_clips(raw, self.max_pixels)

    def encoded(self, raw: Any) -> list[Any]:
        """Return the frames of clips as PNG files, of the size that the model takes."""
        pixels = self.load(raw)
        return [tuple(as_png(frame) for frame in clip) for clip in pixels]

    def from_stream(self, dataset: Any) -> Any:
        """Add resizing to a `tf.data.Dataset` of clips `[n, frames, h, w, c]`.

        The targets of each batch are checked, and the pixels of the first. A `PyDataset` must yield
        clips of the model's size.
        """
        shape = (self.frames, *self.image_size, 3)
        check = StreamCheck(self.task, images=True, shape=shape, inputs=self.input_names)
        return as_model_clips(checked(dataset, check), self.frames, self.image_size)

    def augmentation(self, chosen: Any) -> Callable | None:
        """Convert an augmentation of images to one that changes all frames of a clip equally.

        A function `(x, y, seed) -> (x, y)` gets clips.
        """
        made = super().augmentation(chosen)
        return ClipAugmentation(made) if isinstance(made, ImageAugmentation) else made

    def serving_inputs(self) -> ServingInputs:
        """Return how encoded frames, a string tensor `[n, frames]`, are converted, up to `max_pixels`."""
        decode = partial(decode_clips, image_size=self.image_size, max_pixels=self.max_pixels)
        return ServingInputs(decode, shape=(self.frames,))
