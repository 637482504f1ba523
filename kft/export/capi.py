"""A SavedModel through TensorFlow's C API, by ctypes: the way in that TensorFlow Serving takes.

No Keras, no `tensorflow` package, and XLA's compiler disabled for the whole process, as a server
with default flags has it. Meant for a process of its own.
"""

import ctypes
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kft.export.protos import tensorflow_folder, tensorflow_text_folder

_STRING = 7
_DTYPES = {1: np.float32, 2: np.float64, 3: np.int32, 4: np.uint8, 9: np.int64, 10: np.bool_}
_NUMBERS = {np.dtype(dtype): number for number, dtype in _DTYPES.items()}
_TSTRING_BYTES = 24


class TensorFlowError(Exception):
    """What TensorFlow's runtime answered instead of a result: an error a server would send."""


class _Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class _Buffer(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    ]


class Runtime:
    """TensorFlow's shared library, loaded once, with XLA disabled and TensorFlow Text's ops known.

    Attributes:
        core_ops: The names of the ops that TensorFlow itself registers.
        text_ops: The names of the ops that TensorFlow Text adds, empty if it is not installed.
    """

    _loaded: "Runtime | None" = None

    def __init__(self) -> None:
        folder = tensorflow_folder()
        framework = _library(folder, "libtensorflow_framework*")
        # TensorFlow Text's libraries name the framework without saying where it lies.
        ctypes.CDLL(str(framework), mode=ctypes.RTLD_GLOBAL)
        self.library = ctypes.CDLL(str(_library(folder, "libtensorflow_cc*")))
        self._declare()
        self.library["_ZN10tensorflow21DisableXlaCompilationEv"]()
        self.core_ops = self._all_ops()
        text = tensorflow_text_folder()
        for path in sorted((text / "python" / "ops").glob("_*.so")) if text else []:
            status = Status(self.library)
            self.library.TF_LoadLibrary(os.fsencode(path), status.pointer)
            status.check()
        self.text_ops = self._all_ops() - self.core_ops

    @classmethod
    def get(cls) -> "Runtime":
        """Return the process's runtime, loading it at the first call."""
        if cls._loaded is None:
            cls._loaded = cls()
        return cls._loaded

    def _declare(self) -> None:
        pointer, size, integer = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
        results = {
            "TF_NewStatus": (pointer, []),
            "TF_DeleteStatus": (None, [pointer]),
            "TF_GetCode": (integer, [pointer]),
            "TF_Message": (ctypes.c_char_p, [pointer]),
            "TF_GetAllOpList": (ctypes.POINTER(_Buffer), []),
            "TF_LoadLibrary": (pointer, [ctypes.c_char_p, pointer]),
            "TF_NewBuffer": (ctypes.POINTER(_Buffer), []),
            "TF_DeleteBuffer": (None, [ctypes.POINTER(_Buffer)]),
            "TF_NewGraph": (pointer, []),
            "TF_DeleteGraph": (None, [pointer]),
            "TF_GraphOperationByName": (pointer, [pointer, ctypes.c_char_p]),
            "TF_NewSessionOptions": (pointer, []),
            "TF_SetConfig": (None, [pointer, ctypes.c_char_p, size, pointer]),
            "TF_DeleteSessionOptions": (None, [pointer]),
            "TF_LoadSessionFromSavedModel": (
                pointer,
                [pointer, pointer, ctypes.c_char_p, pointer, integer, pointer, pointer, pointer],
            ),
            "TF_CloseSession": (None, [pointer, pointer]),
            "TF_DeleteSession": (None, [pointer, pointer]),
            "TF_SessionRun": (
                None,
                [
                    *[pointer] * 4,
                    integer,
                    pointer,
                    pointer,
                    integer,
                    pointer,
                    integer,
                    *[pointer] * 2,
                ],
            ),
            "TF_AllocateTensor": (pointer, [integer, pointer, integer, size]),
            "TF_DeleteTensor": (None, [pointer]),
            "TF_TensorType": (integer, [pointer]),
            "TF_NumDims": (integer, [pointer]),
            "TF_Dim": (ctypes.c_int64, [pointer, integer]),
            "TF_TensorByteSize": (size, [pointer]),
            "TF_TensorData": (pointer, [pointer]),
            "TF_StringInit": (None, [pointer]),
            "TF_StringAssignView": (None, [pointer, ctypes.c_char_p, size]),
            "TF_StringGetDataPointer": (pointer, [pointer]),
            "TF_StringGetSize": (size, [pointer]),
        }
        for name, (result, arguments) in results.items():
            function = getattr(self.library, name)
            function.restype, function.argtypes = result, arguments

    def _all_ops(self) -> frozenset[str]:
        from tensorflow.core.framework import op_def_pb2

        buffer = self.library.TF_GetAllOpList()
        ops = op_def_pb2.OpList.FromString(_content(buffer))
        self.library.TF_DeleteBuffer(buffer)
        return frozenset(op.name for op in ops.op)


class Status:
    """A `TF_Status` that frees itself and raises when it is no success."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self.pointer = library.TF_NewStatus()

    def check(self) -> None:
        """Raise `TensorFlowError` with the runtime's own words unless the status is OK."""
        if self._library.TF_GetCode(self.pointer) != 0:
            message = self._library.TF_Message(self.pointer).decode("utf-8", "replace")
            raise TensorFlowError(message)

    def __del__(self) -> None:
        self._library.TF_DeleteStatus(self.pointer)


class Session:
    """A loaded SavedModel that answers by signature name.

    Args:
        directory: The version directory.
        threads: The number of threads within an op and between ops, the runtime's choice if None.

    Raises:
        TensorFlowError: If the runtime cannot load it.

    Example:

    ```python
    session = Session("serving/flowers/1")
    session.run("serving_default", {"inputs": [jpeg_bytes]})["label"]
    ```
    """

    def __init__(self, directory: str | os.PathLike, threads: int | None = None) -> None:
        from tensorflow.core.protobuf import config_pb2, meta_graph_pb2

        library = self._library = Runtime.get().library
        self._graph = library.TF_NewGraph()
        self._session = None
        config = config_pb2.ConfigProto()
        if threads is not None:
            config.intra_op_parallelism_threads = config.inter_op_parallelism_threads = threads
        serialized = config.SerializeToString()
        options, meta_graph, status = (
            library.TF_NewSessionOptions(),
            library.TF_NewBuffer(),
            Status(library),
        )
        library.TF_SetConfig(options, serialized, len(serialized), status.pointer)
        tags = (ctypes.c_char_p * 1)(b"serve")
        self._session = library.TF_LoadSessionFromSavedModel(
            options, None, os.fsencode(directory), tags, 1, self._graph, meta_graph, status.pointer
        )
        loaded = _content(meta_graph)
        library.TF_DeleteBuffer(meta_graph)
        library.TF_DeleteSessionOptions(options)
        status.check()
        # `signatures`: name to SignatureDef, as the file has them.
        self.signatures = dict(meta_graph_pb2.MetaGraphDef.FromString(loaded).signature_def)

    def run(
        self, signature: str, inputs: Mapping[str, np.ndarray | Sequence[bytes]]
    ) -> dict[str, np.ndarray]:
        """Ask a signature, as one request to a server would.

        Args:
            signature: The name of the signature.
            inputs: For each input of the signature an array; strings as bytes (a list or an array
                of objects).

        Returns:
            For each output an array; strings as an array of bytes objects.

        Raises:
            TensorFlowError: If the signature or an input is unknown, or if the graph fails.
        """
        if signature not in self.signatures:
            known = ", ".join(sorted(self.signatures))
            raise TensorFlowError(f"no signature {signature!r}; there are: {known}")
        definition = self.signatures[signature]
        if set(inputs) != set(definition.inputs):
            expected = ", ".join(sorted(definition.inputs))
            raise TensorFlowError(f"inputs {sorted(inputs)}, but {signature!r} takes: {expected}")
        library, status, names = self._library, Status(self._library), sorted(definition.outputs)
        feeds = (_Output * len(inputs))(*(self._find(definition.inputs[k].name) for k in inputs))
        fetches = (_Output * len(names))(*(self._find(definition.outputs[k].name) for k in names))
        keep: list[bytes] = []
        values = (ctypes.c_void_p * len(inputs))()
        results = (ctypes.c_void_p * len(names))()
        try:
            for i, (name, value) in enumerate(inputs.items()):
                values[i] = self._to_tensor(value, definition.inputs[name].dtype, keep)
            library.TF_SessionRun(
                self._session,
                None,
                *(feeds, values, len(values)),
                *(fetches, results, len(results)),
                *(None, 0, None, status.pointer),
            )
            status.check()
            return {
                name: self._to_array(tensor) for name, tensor in zip(names, results, strict=True)
            }
        finally:
            for tensor in (*values, *results):
                if tensor:
                    library.TF_DeleteTensor(tensor)

    def _find(self, tensor: str) -> _Output:
        name, _, index = tensor.partition(":")
        operation = self._library.TF_GraphOperationByName(self._graph, name.encode())
        if not operation:
            raise TensorFlowError(f"the signature names {tensor!r}, which is not in the graph")
        return _Output(operation, int(index or 0))

    def _to_tensor(self, value: object, dtype: int, keep: list[bytes]) -> int:
        library = self._library
        if dtype == _STRING:
            array = np.array(value, dtype=object)
        else:
            array = np.ascontiguousarray(value, dtype=_DTYPES[dtype])
        shape = (ctypes.c_int64 * max(array.ndim, 1))(*array.shape)
        size = array.size * _TSTRING_BYTES if dtype == _STRING else array.nbytes
        tensor = library.TF_AllocateTensor(dtype, shape, array.ndim, size)
        data = library.TF_TensorData(tensor)
        if dtype != _STRING:
            ctypes.memmove(data, array.ctypes.data, size)
            return tensor
        for i, item in enumerate(array.flat):
            keep.append(item)  # the tensor only views the bytes
            library.TF_StringInit(data + i * _TSTRING_BYTES)
            library.TF_StringAssignView(data + i * _TSTRING_BYTES, item, len(item))
        return tensor

    def _to_array(self, tensor: int) -> np.ndarray:
        library = self._library
        dtype = library.TF_TensorType(tensor)
        shape = [library.TF_Dim(tensor, i) for i in range(library.TF_NumDims(tensor))]
        data = library.TF_TensorData(tensor)
        if dtype != _STRING:
            if dtype not in _DTYPES:
                raise TensorFlowError(f"an output of the type {dtype}, which kft does not read")
            content = ctypes.string_at(data, library.TF_TensorByteSize(tensor))
            return np.frombuffer(content, _DTYPES[dtype]).reshape(shape)
        array = np.empty(int(np.prod(shape)), dtype=object)
        for i in range(array.size):
            text = data + i * _TSTRING_BYTES
            array[i] = ctypes.string_at(
                library.TF_StringGetDataPointer(text), library.TF_StringGetSize(text)
            )
        return array.reshape(shape)

    def close(self) -> None:
        """Free the session and its graph."""
        if self._session:
            status = Status(self._library)
            self._library.TF_CloseSession(self._session, status.pointer)
            self._library.TF_DeleteSession(self._session, status.pointer)
            self._session = None
        if self._graph:
            self._library.TF_DeleteGraph(self._graph)
            self._graph = None

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _library(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise TensorFlowError(
            f"{folder} has no {pattern}: this build of TensorFlow lacks the C API"
        )
    return found[0]


def _content(buffer: "ctypes._Pointer[_Buffer]") -> bytes:
    return ctypes.string_at(buffer.contents.data, buffer.contents.length)
