"""TensorFlow's C API through ctypes: its library, its ops and its errors.

It uses neither Keras nor the `tensorflow` package, and disables XLA's compiler for the whole process,
like a server with default flags. It is meant for a separate process.
"""

import ctypes
import os
from pathlib import Path

from kft.export.protos import tensorflow_folder, tensorflow_text_folder


class TensorFlowError(Exception):
    """An error of TensorFlow's runtime, which a server would return."""


class Output(ctypes.Structure):
    """An output of an operation in a graph, `TF_Output`."""

    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class Buffer(ctypes.Structure):
    """Bytes owned by TensorFlow, `TF_Buffer`."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    ]


class Runtime:
    """TensorFlow's shared library, loaded once, with XLA disabled and TensorFlow Text's ops loaded.

    Attributes:
        core_ops: The names of the ops that TensorFlow registers.
        text_ops: The names of the ops that TensorFlow Text adds, empty if it is not installed.
    """

    _loaded: "Runtime | None" = None

    def __init__(self) -> None:
        folder = tensorflow_folder()
        framework = _library(folder, "libtensorflow_framework*")
        # TensorFlow Text's libraries need the framework, but do not say where it is.
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
        """Return the runtime of the process, loading it on the first call."""
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
            "TF_GetAllOpList": (ctypes.POINTER(Buffer), []),
            "TF_LoadLibrary": (pointer, [ctypes.c_char_p, pointer]),
            "TF_NewBuffer": (ctypes.POINTER(Buffer), []),
            "TF_DeleteBuffer": (None, [ctypes.POINTER(Buffer)]),
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
        ops = op_def_pb2.OpList.FromString(buffer_bytes(buffer))
        self.library.TF_DeleteBuffer(buffer)
        return frozenset(op.name for op in ops.op)


class Status:
    """A `TF_Status` that frees itself."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self.pointer = library.TF_NewStatus()

    def check(self) -> None:
        """Raise `TensorFlowError` with the runtime's message unless the status is OK."""
        if self._library.TF_GetCode(self.pointer) != 0:
            message = self._library.TF_Message(self.pointer).decode("utf-8", "replace")
            raise TensorFlowError(message)

    def __del__(self) -> None:
        self._library.TF_DeleteStatus(self.pointer)


def _library(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise TensorFlowError(
            f"{folder} has no {pattern}: this build of TensorFlow lacks the C API"
        )
    return found[0]


def buffer_bytes(buffer: "ctypes._Pointer[Buffer]") -> bytes:
    """Return the bytes of a buffer, which TensorFlow still owns."""
    return ctypes.string_at(buffer.contents.data, buffer.contents.length)
