"""Logging to TensorBoard: scalars with stages and rates, the plan as text, features for the projector."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kft.arguments import path_of
from kft.arguments.calls import CheckedCalls
from kft.callbacks.run_logger import epoch_values, find_unfreezing, plan_of
from kft.errors import InputError
from kft.model import graph

MOST_POINTS = 10_000  # what the projector still rotates smoothly
_CONFIG = """embeddings {
  tensor_name: "features"
  tensor_path: "features.tsv"
  metadata_path: "labels.tsv"
}
"""


class TensorBoardLogger(CheckedCalls, keras.callbacks.Callback):
    """Log a fit in stages to TensorBoard, on any backend.

    Unlike Keras' own `TensorBoard` callback, this one also writes the stage and the learning rate of
    each group, the plan as text, and, with `project`, the features of examples after training for
    the projector. Put it after `StagedUnfreezing`. A resumed fit continues in the same directory.

    Args:
        log_dir: Directory for `tensorboard --logdir`.
        project: `(x, labels)`: inputs as the model takes them, for example `recipe.load(files)`, and
            a name for each; at most 10,000. Defaults to no projector.

    Raises:
        InputError: If `project` is not a pair of equal length, or has too many examples.

    Example:

    ```python
    logger = kft.callbacks.TensorBoardLogger("logs/flowers", project=(x[:500], names[:500]))
    model.fit(x, y, epochs=8, callbacks=[kft.callbacks.StagedUnfreezing(stages), logger])
    ```
    """

    def __init__(
        self, log_dir: str | os.PathLike[str], project: tuple[Any, Sequence[str]] | None = None
    ) -> None:
        super().__init__()
        if project is not None:
            is_pair = isinstance(project, tuple) and len(project) == 2
            parts = keras.tree.flatten(project[0]) if is_pair else []
            if not parts or not all(hasattr(one, "__len__") for one in (parts[0], project[1])):
                raise InputError("`project` is not a pair: pass (x, labels), or None.")
            rows = len(parts[0])
            if not 0 < rows == len(project[1]) <= MOST_POINTS:
                raise InputError(
                    f"`project` has {rows} inputs and {len(project[1])} labels: pass as many of "
                    f"each, at most {MOST_POINTS:,}."
                )
        self.log_dir = path_of("log_dir", log_dir)
        self.project = project
        self._writer: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Open the file and write the plan."""
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str(self.log_dir))
        plan = plan_of(self.model, find_unfreezing(self))
        # Four spaces: TensorBoard shows texts as Markdown.
        self._write_text("plan", "\n".join(f"    {line}" for line in plan.splitlines()))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the values of the epoch."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = epoch_values(logs, find_unfreezing(self))
        for name, value in values.items():
            self._write(Summary.Value(tag=_tag(name), simple_value=value), epoch)
        self._writer.flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Write the features of the examples, and close the file."""
        self._writer.close()
        self._writer = None
        if self.project is not None:
            self._write_features(*self.project)

    def _write_text(self, tag: str, text: str) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.types_pb2 import DT_STRING

        kind = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        content = TensorProto(dtype=DT_STRING, string_val=[text.encode()])
        self._write(Summary.Value(tag=tag, metadata=kind, tensor=content), 0)

    def _write(self, value: Any, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        summary = Summary(value=[value])
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))

    def _write_features(self, x: Any, labels: Sequence[str]) -> None:
        found = graph.features(self.model).predict(x, verbose=0)
        rows = np.asarray(found).reshape(len(labels), -1)
        np.savetxt(self.log_dir / "features.tsv", rows, fmt="%.6g", delimiter="\t")
        lines = [" ".join(str(label).split()) or "-" for label in labels]
        (self.log_dir / "labels.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (self.log_dir / "projector_config.pbtxt").write_text(_CONFIG, encoding="utf-8")


def _tag(name: str) -> str:
    """Return a tag that groups training and validation of a metric, and the rates of all groups."""
    if name.startswith("rates/"):
        return name
    part = "validation" if name.startswith("val_") else "training"
    name = name.removeprefix("val_")
    return name if name in ("stage", "learning_rate") else f"{name}/{part}"
