"""The words that options of `kft fit` take."""

from __future__ import annotations

from enum import StrEnum


class Balance(StrEnum):
    """What to do about imbalanced classes."""

    weights = "weights"
    oversample = "oversample"
    undersample = "undersample"


class Switch(StrEnum):
    """Something that looks after itself, or is off."""

    auto = "auto"
    off = "off"


class RestoreBest(StrEnum):
    """Which weights a fit ends with."""

    run = "run"
    stage = "stage"
    ends = "ends"
    none = "none"


class Distribution(StrEnum):
    """How a fit is spread over devices."""

    auto = "auto"
    none = "none"
    data_parallel = "data_parallel"
    model_parallel = "model_parallel"


class CacheDtype(StrEnum):
    """What frozen features are kept as."""

    float32 = "float32"
    float16 = "float16"
    bfloat16 = "bfloat16"
