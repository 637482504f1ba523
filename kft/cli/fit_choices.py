"""The choices of options of `kft fit`."""

from __future__ import annotations

from enum import StrEnum


class Balance(StrEnum):
    """How to handle imbalanced classes."""

    weights = "weights"
    oversample = "oversample"
    undersample = "undersample"


class Switch(StrEnum):
    """Automatic, or off."""

    auto = "auto"
    off = "off"


class RestoreBest(StrEnum):
    """Which weights a fit ends with."""

    run = "run"
    stage = "stage"
    ends = "ends"
    none = "none"


class Distribution(StrEnum):
    """How a fit is distributed over devices."""

    auto = "auto"
    none = "none"
    data_parallel = "data_parallel"
    model_parallel = "model_parallel"


class CacheDtype(StrEnum):
    """The dtype of cached features."""

    float32 = "float32"
    float16 = "float16"
    bfloat16 = "bfloat16"
