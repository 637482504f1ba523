"""Warmup requests: a server runs them before it serves a version, and the check uses them.

They are `PredictionLog`s in one TFRecord, where TensorFlow Serving reads it. Each record has a
request made from real examples, and the response of `recipe.predict`; a server replays the
requests, and `kft.export.check` also compares the responses.
"""

import math
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.errors import InputError

if TYPE_CHECKING:
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

PATH = "assets.extra/tf_serving_warmup_requests"
MAX_RECORDS = 1000  # with more, the server refuses the version

_STRING = 7
_NUMBERS: dict[
    int, tuple[np.dtype, str]
] = {  # of TensorFlow's DataType: the type, and the field of a TensorProto
    1: (np.dtype(np.float32), "float_val"),
    3: (np.dtype(np.int32), "int_val"),
    9: (np.dtype(np.int64), "int64_val"),
}
_MOST_VALUES = 2**28  # of a tensor, whose encoding may repeat a single value
_CRC_TABLE = []
for _byte in range(256):
    for _ in range(8):
        _byte = (_byte >> 1) ^ (0x82F63B78 if _byte & 1 else 0)
    _CRC_TABLE.append(_byte)


def predict_log(
    signature: str, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
) -> "PredictionLog":
    """Return a Predict request with its expected response.

    Args:
        signature: The name of the signature.
        inputs: The value of each input: numbers, or bytes in an array of objects; the first axis is
            the batch.
        outputs: The expected value of each output, likewise.
    """
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    request, response = log.predict_log.request, log.predict_log.response
    request.model_spec.signature_name = response.model_spec.signature_name = signature
    for name, value in inputs.items():
        _to_proto(value, request.inputs[name])
    for name, value in outputs.items():
        _to_proto(value, response.outputs[name])
    return log


def classify_log(
    feature: str, inputs: np.ndarray, classes: np.ndarray, scores: np.ndarray
) -> "PredictionLog":
    """Return a Classify request for the signature `classify`, with its expected response.

    Args:
        feature: The name of the `tf.Example` feature that contains the raw input.
        inputs: The raw inputs, bytes in an array of objects.
        classes: Labels as bytes, [n, k].
        scores: float32 [n, k].
    """
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    log.classify_log.request.model_spec.signature_name = "classify"
    _add_examples(log.classify_log.request.input, feature, inputs)
    for labels, values in zip(classes, scores, strict=True):
        result = log.classify_log.response.result.classifications.add()
        for label, value in zip(labels, values, strict=True):
            result.classes.add(label=label.decode(), score=float(value))
    return log


def regress_log(feature: str, inputs: np.ndarray, values: np.ndarray) -> "PredictionLog":
    """Return a Regress request for the signature `regress`, with its expected response.

    Args:
        feature: The name of the `tf.Example` feature that contains the raw input.
        inputs: The raw inputs, bytes in an array of objects.
        values: float32 [n].
    """
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    log.regress_log.request.model_spec.signature_name = "regress"
    _add_examples(log.regress_log.request.input, feature, inputs)
    for value in values:
        log.regress_log.response.result.regressions.add(value=float(value))
    return log


def read_log(
    log: "PredictionLog",
) -> tuple[str, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the signature, the value of each input and the expected outputs of a record.

    Raises:
        ValueError: If the record is not a Predict, Classify or Regress request, or has a tensor of a
            type that kft does not write.
    """
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        request, response = log.predict_log.request, log.predict_log.response
        outputs = {name: from_proto(tensor) for name, tensor in response.outputs.items()}
        inputs = {name: from_proto(request.inputs[name]) for name in sorted(request.inputs)}
        return request.model_spec.signature_name, inputs, outputs
    if kind == "classify_log":
        request = log.classify_log.request
        results = log.classify_log.response.result.classifications
        outputs = {
            "classes": _strings([[c.label.encode() for c in r.classes] for r in results]),
            "scores": np.array([[c.score for c in r.classes] for r in results], np.float32),
        }
    elif kind == "regress_log":
        request = log.regress_log.request
        results = log.regress_log.response.result.regressions
        outputs = {"outputs": np.array([r.value for r in results], np.float32)}
    else:
        raise ValueError(f"a record of the kind {kind}")
    examples = request.input.example_list.examples
    serialized = _strings([example.SerializeToString() for example in examples])
    return request.model_spec.signature_name, {"inputs": serialized}, outputs


def write(directory: str | os.PathLike, logs: Sequence["PredictionLog"]) -> Path:
    """Write the records to the place where a server reads them.

    Args:
        directory: The version directory.
        logs: The records, in the order in which to run them.

    Returns:
        The file written.

    Raises:
        InputError: If there are more records than a server accepts.
    """
    if len(logs) > MAX_RECORDS:
        raise InputError(f"{len(logs)} warmup records; a server takes at most {MAX_RECORDS}.")
    path = Path(directory) / PATH
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        for log in logs:
            record = log.SerializeToString(deterministic=True)
            length = struct.pack("<Q", len(record))
            file.write(length + _masked_crc(length) + record + _masked_crc(record))
    return path


def read(directory: str | os.PathLike) -> Iterator["PredictionLog"]:
    """Yield the records of a version directory.

    Raises:
        ValueError: If the file is not a TFRecord of `PredictionLog`s, or a checksum is wrong.
        OSError: If there is no such file.
    """
    from google.protobuf.message import DecodeError
    from tensorflow_serving.apis import prediction_log_pb2

    content = (Path(directory) / PATH).read_bytes()
    start = 0
    while start < len(content):
        length = content[start : start + 8]
        end = start + 12 + (struct.unpack("<Q", length)[0] if len(length) == 8 else 0)
        record = content[start + 12 : end]
        if (
            len(content) < end + 4
            or _masked_crc(length) != content[start + 8 : start + 12]
            or _masked_crc(record) != content[end : end + 4]
        ):
            raise ValueError(f"the record at byte {start} is truncated or its checksum is wrong")
        try:
            yield prediction_log_pb2.PredictionLog.FromString(record)
        except DecodeError as error:
            raise ValueError(
                f"the record at byte {start} is not a PredictionLog: {error}"
            ) from error
        start = end + 4


def from_proto(tensor: Any) -> np.ndarray:
    """Return the array in a `TensorProto` of strings, float32, int32 or int64.

    Raises:
        ValueError: If it is of another type, or its values do not match its shape.
    """
    shape = [dimension.size for dimension in tensor.tensor_shape.dim]
    if math.prod(shape) > _MOST_VALUES:
        raise ValueError(f"a tensor of the shape {shape}")
    if tensor.dtype == _STRING:
        return _strings(list(tensor.string_val)).reshape(shape)
    if tensor.dtype not in _NUMBERS:
        raise ValueError(f"a tensor of the type {tensor.dtype}, neither strings nor such numbers")
    dtype, field = _NUMBERS[tensor.dtype]
    if tensor.tensor_content:
        return np.frombuffer(tensor.tensor_content, dtype).reshape(shape)
    values = np.array(getattr(tensor, field), dtype)
    return np.full(shape, values[0]) if values.size == 1 else values.reshape(shape)


def to_proto(value: np.ndarray) -> Any:
    """Return a `TensorProto` of an array of float32, int32, int64 or of bytes objects."""
    from tensorflow.core.framework import tensor_pb2

    tensor = tensor_pb2.TensorProto()
    _to_proto(value, tensor)
    return tensor


def _to_proto(value: np.ndarray, tensor: Any) -> None:
    for size in np.shape(value):
        tensor.tensor_shape.dim.add(size=size)
    array = np.asarray(value)
    if array.dtype == object:
        tensor.dtype = _STRING
        tensor.string_val.extend(array.flat)
        return
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
    tensor.dtype = next(n for n, (dtype, _) in _NUMBERS.items() if dtype == array.dtype)
    tensor.tensor_content = np.ascontiguousarray(array).tobytes()


def _add_examples(destination: Any, feature: str, inputs: np.ndarray) -> None:
    for raw in inputs:
        example = destination.example_list.examples.add()
        strings = [raw] if isinstance(raw, bytes) else raw
        example.features.feature[feature].bytes_list.value.extend(strings)


def _strings(values: list) -> np.ndarray:
    return np.array(values, dtype=object)


def _masked_crc(content: bytes) -> bytes:
    """Return the checksum of the TFRecord format: CRC-32C, rotated and offset."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)
