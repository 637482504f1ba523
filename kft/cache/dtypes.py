"""The types in which features are stored."""

from __future__ import annotations

import ml_dtypes
import numpy as np

DTYPES = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}


def stored_as(dtype: str | np.dtype, kept: str) -> np.dtype:
    """Return the type in which an output of frozen layers is stored.

    Args:
        dtype: The type of the output.
        kept: The type for floats of more than 16 bits: a key of `DTYPES`.
    """
    own = DTYPES[dtype] if isinstance(dtype, str) and dtype in DTYPES else np.dtype(dtype)
    is_wide = np.issubdtype(own, np.floating) and own.itemsize > 2
    return DTYPES[kept] if is_wide else own
