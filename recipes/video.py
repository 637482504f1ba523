"""The recipe for video: clips with any model of `keras.applications` that has pretrained weights."""

from dataclasses import dataclass

from kft.recipe.clips import Clips
from recipes.application import ApplicationRecipe


@dataclass(kw_only=True, eq=False)
class VideoRecipe(Clips, ApplicationRecipe):
    """Fine-tune a model of `keras.applications` on video clips, frame by frame and then over time.

    A clip is a video file (read by PyAV: `pip install 'kft[video]'`), an animated GIF or a folder of
    frames.

    Args:
        name: Name of the architecture, as for `ApplicationRecipe`. Defaults to `"EfficientNetV2B0"`.
        frames: Frames per clip. Defaults to 8.
        time: `"average"`, `"attention"` or `"gru"`: how the features of the frames become one vector.
            Defaults to `"average"`.

    The other arguments are those of `ApplicationRecipe`.

    Example:

    ```python
    recipe = VideoRecipe("MobileNetV2", num_classes=5, frames=16)
    run = recipe.fit("clips/", run_dir="runs/clips")  # clips/CLASS/clip.mp4
    recipe.predict(["new.mp4"])
    ```
    """
