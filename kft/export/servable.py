"""The parts of a trained model that the exporter needs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.answers import Answers, NumpyOps, Ops, Tensor
from kft.answers.description import FEATURES, STATUS
from kft.data.modality import modality_named
from kft.data.parts import split_parts
from kft.errors import InputError
from kft.export import promises
from kft.export.promises import INPUT, Description

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from kft.tasks import Task


@dataclass(frozen=True)
class Servable:
    """A trained model with the conversions from raw inputs to its inputs, and from outputs to answers.

    Args:
        model: A functional model with one output `[n, ...]`, or a dict of them.
        decode: Converts raw inputs, a string tensor [n, *shape], to the model's inputs for the usable rows,
            and a string tensor [n] with a status for every row: empty, or why the row was left out. It
            uses TensorFlow's graph ops, none of which raises for a bad row.
        predict: Computes the model's outputs for a list of raw inputs, arrays [n, ...] in their own
            structure: the reference that the export must equal.
        modality: `"image"` (raw inputs are encoded files), `"clip"` (encoded frames) or `"text"`.
        task: The task, which makes answers of the outputs.
        classes: The class names in the task's answers, None without any.
        examples: Real raw inputs for warmup requests; at least one.
        features: The tensor of `model` that `embed` returns, [n, ...]; or a dict of them.
        parts: The names of the texts of a request, which `kft.data.parts.join_parts` joins to a raw
            input; empty if a raw input is a single text.
        shape: The shape of a raw input's strings, such as `(frames,)`; empty for a single string.
        resources: Layers with tables that `decode` uses, which the export must include.
        facts: Further entries of the metadata, ready for JSON.

    Raises:
        InputError: If the arguments contradict each other, or the task's answer cannot be served.
    """

    model: "keras.Model"
    decode: Callable[["tf.Tensor"], tuple[Any, "tf.Tensor"]]
    predict: Callable[[Sequence[bytes | str]], Any]
    modality: str
    task: "Task"
    classes: Any
    examples: tuple[Any, ...]
    features: Any
    parts: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    resources: tuple[Any, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        modality_named(self.modality)
        if not self.examples:
            raise InputError("examples=(), but warmup needs a real input: pass at least one.")
        promises.check_names(self.description.answers)

    @property
    def feature_name(self) -> str:
        """The feature of a `tf.Example` that contains the raw input."""
        return self.modality

    @cached_property
    def description(self) -> Description:
        """The description of the export's answers for its metadata."""
        features = {
            name: Tensor("float32", len(one.shape)) for name, one in self.named_features().items()
        }
        inputs = self.parts or (INPUT,)
        return Description(self._answers(), Answers(features), self._tensors(), inputs, self.shape)

    def named_features(self) -> dict[str, "keras.KerasTensor"]:
        """Return the tensors that `embed` returns, by the names of its outputs."""
        if isinstance(self.features, Mapping):
            return {f"{FEATURES}_{name}": one for name, one in self.features.items()}
        return {FEATURES: self.features}

    def filled(self, one: bytes) -> Any:
        """Return a raw input whose strings are all `one`."""
        return (one,) * self.shape[0] if self.shape else one

    def request(self, raw: Sequence[bytes] | np.ndarray) -> dict[str, np.ndarray]:
        """Return raw inputs as the inputs of a request, name to strings `[n, *shape]`."""
        if not self.parts:
            return {INPUT: np.array(raw, dtype=object)}
        rows = [split_parts(one, len(self.parts)) for one in raw]
        columns = np.array(rows, dtype=object).reshape(-1, len(self.parts)).T
        return dict(zip(self.parts, columns, strict=True))

    def answer(self, outputs: Any, ops: Ops, raw: Sequence[bytes] | None = None) -> dict[str, Any]:
        """Return the task's answer, in dtypes that a server supports.

        Args:
            outputs: The model's outputs for usable rows, in their own structure.
            ops: The operations for the library of the outputs.
            raw: The raw inputs of these rows; None leaves out answers that are cut from them.
        """
        served = _mapped(ops.served, outputs)
        found = self.task.answer(served, self.classes, ops)
        if not isinstance(found, Mapping):
            raise InputError(
                f"{type(self.task).__name__} answers with {type(found).__name__}: return a dict of "
                "names to tensors from `answer`."
            )
        found = {name: ops.served(value) for name, value in found.items()}
        return found if raw is None else self.quoted(found, self.request(raw), ops)

    def quoted(
        self, answer: Mapping[str, Any], request: Mapping[str, Any], ops: Ops
    ) -> dict[str, Any]:
        """Return an answer extended by what the task cuts from a request.

        Args:
            answer: The result of `answer`, for each row of the request.
            request: Name of an input to strings `[n]`.
            ops: The operations for the library of both.
        """
        return {**answer, **self.task.quote(answer, request, ops)}

    def _answers(self) -> Answers:
        """Describe the answer to one blank row."""
        blank = _mapped(
            lambda one: np.zeros([1, *(size or 1 for size in one.shape[1:])], _numpy(one.dtype)),
            self.model.output,
        )
        found = self.answer(blank, NumpyOps(), [b""])
        for name, value in found.items():
            if np.shape(value)[:1] != (1,):
                raise InputError(
                    f"{type(self.task).__name__} answers one row with {name!r} of the shape "
                    f"{list(np.shape(value))}: the first axis must be the batch."
                )
        outputs = {name: Tensor(_dtype(value), np.ndim(value)) for name, value in found.items()}
        return Answers(outputs, self.task.answer_rules())

    def _tensors(self) -> int | None:
        """Return the number of axes of the input of `tensors`, if pixels are the model's only input."""
        lone = self.model.inputs[0] if len(self.model.inputs) == 1 else None
        if modality_named(self.modality).is_text or lone is None or lone.dtype != "float32":
            return None
        return len(lone.shape)


def with_bad_rows(answer: Mapping[str, np.ndarray], status: np.ndarray) -> dict[str, np.ndarray]:
    """Return an answer with NaN, 0 or an empty string in its bad rows, and the status.

    Args:
        answer: Name of an output to array [n, ...]; its values in bad rows are ignored.
        status: Why a row is bad, as bytes [n]; empty for a good row.
    """
    bad = status != b""
    found = {name: np.array(value) for name, value in answer.items()}
    for value in found.values():
        value[bad] = blank_of(_dtype(value))
    return {**found, STATUS: status}


def blank_of(dtype: str) -> Any:
    """Return the answer to a bad row, for an output of this dtype."""
    return {"float32": float("nan"), "string": b""}.get(dtype, 0)


def _mapped(function: Callable[[Any], Any], outputs: Any) -> Any:
    """Apply a function to each tensor of a structure of dicts and sequences."""
    if isinstance(outputs, Mapping):
        return {name: _mapped(function, one) for name, one in outputs.items()}
    if isinstance(outputs, (list, tuple)):
        return [_mapped(function, one) for one in outputs]
    return function(outputs)


def _numpy(dtype: str) -> str:
    return "float32" if dtype in ("bfloat16", "float16") else dtype


def _dtype(value: np.ndarray) -> str:
    return "string" if value.dtype == object else value.dtype.name
