"""A SavedModel in a session of TensorFlow's C API, loaded as TensorFlow Serving loads it."""

import ctypes
import os
from collections.abc import Mapping, Sequence

import numpy as np

from kft.export.capi import Output, Runtime, Status, TensorFlowError, buffer_bytes

_STRING = 7
_DTYPES = {1: np.float32, 2: np.float64, 3: np.int32, 4: np.uint8, 9: np.int64, 10: np.bool_}
_TSTRING_BYTES = 24


class Session:
    """A loaded SavedModel that runs its signatures by name.

    Args:
        directory: The version directory.
        threads: The number of threads within an op and between ops. Defaults to the runtime's choice.

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
        loaded = buffer_bytes(meta_graph)
        library.TF_DeleteBuffer(meta_graph)
        library.TF_DeleteSessionOptions(options)
        status.check()
        # `signatures`: name to SignatureDef, as the file has them.
        self.signatures = dict(meta_graph_pb2.MetaGraphDef.FromString(loaded).signature_def)

    def run(
        self, signature: str, inputs: Mapping[str, np.ndarray | Sequence[bytes]]
    ) -> dict[str, np.ndarray]:
        """Run a signature, as a request to a server would.

        Args:
            signature: The name of the signature.
            inputs: An array for each input of the signature; strings as bytes (a list or an array
                of objects).

        Returns:
            An array for each output; strings as an array of bytes objects.

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
        feeds = (Output * len(inputs))(*(self._find(definition.inputs[k].name) for k in inputs))
        fetches = (Output * len(names))(*(self._find(definition.outputs[k].name) for k in names))
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

    def _find(self, tensor: str) -> Output:
        name, _, index = tensor.partition(":")
        operation = self._library.TF_GraphOperationByName(self._graph, name.encode())
        if not operation:
            raise TensorFlowError(f"the signature names {tensor!r}, which is not in the graph")
        return Output(operation, int(index or 0))

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
            keep.append(item)  # the tensor only references the bytes
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
