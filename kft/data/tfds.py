"""TensorFlow Datasets: by name, or a directory prepared before, from which nothing is fetched."""

import contextlib
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kft.data.bad import BadExamples
from kft.data.columns import MOST_BYTES
from kft.data.examples import Examples
from kft.data.files import shown
from kft.data.folder import check_images
from kft.data.image_files import MAX_PIXELS
from kft.data.labels import (
    SEPARATOR,
    check_classes,
    checked_names,
    class_targets,
    clean,
    multi_label_targets,
    refuse_rows_of_bits,
)
from kft.data.prepared import INFO, check_prepared, is_prepared, newest_version
from kft.data.values import class_name, text_value
from kft.errors import InputError

__all__ = ["is_prepared", "read_tfds"]


def read_tfds(
    name: str,
    *,
    task: str,
    modality: str,
    classes: Sequence[str] | None = None,
    text_column: str = "text",
    label_column: str | Sequence[str] = "label",
    on_bad_example: str = "error",
    max_pixels: int = MAX_PIXELS,
    split: str = "train",
) -> Examples:
    """Read a split of a TensorFlow Dataset into memory, images as the bytes of their files.

    Args:
        name: Such as "tf_flowers" (downloaded and prepared by TFDS if it is not on the machine), or
            the directory of a prepared dataset.
        task: `"single_label"`, `"multi_label"` or `"regression"`.
        modality: `"image"` or `"text"`.
        classes: The classes of the training; without them, the sorted names of the label feature.
        text_column: Feature with the texts, where the dataset's supervised keys do not say.
        label_column: Feature with the labels, where the dataset's supervised keys do not say.
        on_bad_example: `"error"`, or `"skip"` to leave out images that cannot be decoded.
        max_pixels: The largest image accepted, width times height.
        split: A split, or a part of one, such as "train[:80%]".

    Returns:
        `Examples` of kind `"image_bytes"` or `"texts"`, in the order of the dataset.

    Raises:
        InputError: No such dataset, split or feature, it cannot be downloaded, or a prepared
            directory names code.
    """
    import tensorflow_datasets as tfds

    builder = _builder(name)
    source = f"TFDS {builder.info.full_name} {split}"
    bad = BadExamples(source, on_bad_example)
    features = builder.info.features
    wanted = tfds.features.Image if modality == "image" else tfds.features.Text
    keys = builder.info.supervised_keys or (None, None)
    label_key = _feature(features, (label_column, keys[1]), None, source, "label_column")
    _check_label(features[label_key], task, source, label_key)
    given = text_column if modality == "text" else "image"
    input_key = _feature(features, (given, keys[0]), wanted, source, f"{modality} feature")
    rows = _rows(builder, split, input_key, label_key, modality, source)
    names = [f"example {index}" for index in range(len(rows))]
    reasons: dict[int, str] = {}
    values: list[Any] = [row[input_key] for row in rows]
    if modality == "image":
        reasons = check_images(values, max_pixels)
    else:
        for index, value in enumerate(values):
            values[index], reason = text_value(value)
            if reason:
                reasons[index] = reason
    feature = features[label_key]
    labels = []
    for index, row in enumerate(rows):
        label, reason = _label(row[label_key], feature, task)
        labels.append(label)
        if reason:
            reasons.setdefault(index, reason)
    for index in sorted(reasons):
        bad.add(names[index], reasons[index])
    skipped = bad.settle()
    kept = [index for index in range(len(rows)) if index not in reasons]
    if not kept:
        raise InputError(f"{source} has no usable example: name another split")
    targets, known = _targets(
        [labels[index] for index in kept],
        [names[index] for index in kept],
        task,
        source,
        classes or _class_names(feature, task, source),
    )
    inputs = np.empty(len(kept), dtype=object)
    inputs[:] = [values[index] for index in kept]
    kind = "image_bytes" if modality == "image" else "texts"
    return Examples(kind, inputs, targets, known, source, skipped)


def _builder(name: str) -> Any:
    import tensorflow_datasets as tfds

    path = Path(name)
    if path.is_dir():
        path = newest_version(path)
        check_prepared(path)
        try:
            return tfds.builder_from_directory(path)
        except Exception as error:  # whatever TFDS makes of a damaged description
            raise _damaged(f"the prepared TFDS directory {shown(path)}", error) from error
    # TFDS takes files that it has prepared before for the dataset of that name.
    own = Path(tfds.core.constants.DATA_DIR, name.split(":")[0].split("/")[0])
    for info in own.rglob(INFO):
        check_prepared(info.parent, whole=False)
    try:
        builder = tfds.builder(name, try_gcs=False)
    except (tfds.core.registered.DatasetNotFoundError, ValueError) as error:
        raise InputError(
            f"{name!r} is no file, no folder and no dataset that TFDS knows: check the path, or "
            "see https://www.tensorflow.org/datasets/catalog for the names"
        ) from error
    try:
        builder.download_and_prepare()
    except Exception as error:  # whatever a download or a preparation script raises
        raise InputError(
            f"TFDS {name!r} cannot be downloaded and prepared ({type(error).__name__}: {error}): "
            "prepare it on a machine with the network and pass the directory, such as "
            f"{builder.data_dir}"
        ) from error
    return builder


def _rows(
    builder: Any, split: str, input_key: str, label_key: str, modality: str, source: str
) -> list[dict[str, Any]]:
    """The examples of a split, of which no other feature is decoded."""
    import tensorflow_datasets as tfds

    skip = {input_key: tfds.decode.SkipDecoding()} if modality == "image" else None
    decoders = tfds.decode.PartialDecoding({input_key: True, label_key: True}, decoders=skip)
    try:
        with _without_deprecations():
            dataset = builder.as_dataset(split=split, decoders=decoders, shuffle_files=False)
    except (ValueError, KeyError, AssertionError) as error:
        splits = ", ".join(map(repr, builder.info.splits))
        raise InputError(
            f"split={split!r} of {builder.info.full_name}: its splits are {splits}; name one, or a "
            "part such as 'train[:80%]'"
        ) from error
    except (ImportError, NotImplementedError) as error:  # of formats other than TFRecord
        raise _damaged(source, error) from error
    rows, size = [], 0
    try:
        for row in tfds.as_numpy(dataset):
            rows.append(row)
            size += len(row[input_key])
            if size > MOST_BYTES:
                raise InputError(
                    f"{source} has more than {MOST_BYTES:,} bytes: name a part of the split, such as "
                    f"'{split}[:10%]', or pass a tf.data.Dataset"
                )
    except InputError:
        raise
    except Exception as error:  # whatever TensorFlow makes of damaged files
        raise _damaged(source, error) from error
    return rows


@contextlib.contextmanager
def _without_deprecations() -> Iterator[None]:
    """Drop what TFDS (4.9.10) logs about its own use of `FeatureConnector.dtype`."""

    def is_other(record: logging.LogRecord) -> bool:
        return "`FeatureConnector.dtype` is deprecated" not in record.getMessage()

    logger = logging.getLogger("absl")
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


def _damaged(source: str, error: Exception) -> InputError:
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    said = re.sub(r"\{\{.*?\}\} ", "", said).split(" [Op:")[0][:200]  # TensorFlow's own places
    return InputError(f"{source} cannot be read ({said}): prepare the dataset again")


def _feature(features: Any, keys: tuple[Any, ...], kind: Any, source: str, what: str) -> str:
    """The first of `keys` that is a feature of the right kind, else the only one of that kind."""
    fitting = [key for key in features if kind is None or isinstance(features[key], kind)]
    for key in keys:
        if isinstance(key, str) and key in fitting:
            return key
    if kind is not None and len(fitting) == 1:
        return fitting[0]
    raise InputError(
        f"{source} has no {what} {keys[0]!r}, only {', '.join(features)}: name the right one"
    )


def _label(value: Any, feature: Any, task: str) -> tuple[Any, str]:
    """One example's label as text, texts or numbers, and why it cannot be used."""
    if task == "regression":
        return _numbers(value)
    if task == "multi_label":
        inner = getattr(feature, "feature", feature)
        parts = value.split(SEPARATOR.encode()) if isinstance(value, bytes) else value
        names = [_name(one, inner) for one in parts if one != b""]
        return [name for name, _ in names], next((reason for _, reason in names if reason), "")
    return _name(value, feature)


def _numbers(value: Any) -> tuple[Any, str]:
    numbers = np.asarray(value)
    if numbers.dtype.kind not in "biuf" or numbers.ndim > 1:
        return None, "no number as a label"
    with np.errstate(over="ignore"):
        numbers = numbers.astype(np.float32)
    return numbers, "" if np.isfinite(numbers).all() else "a label that is no finite number"


def _name(value: Any, feature: Any) -> tuple[str, str]:
    if isinstance(value, bytes) or not hasattr(feature, "int2str"):
        return class_name(value)
    if not 0 <= value < feature.num_classes:
        return "", "no label" if value < 0 else f"label {value} of {feature.num_classes} classes"
    return clean(feature.int2str(int(value))), ""


def _check_label(feature: Any, task: str, source: str, key: str) -> None:
    """Check that a feature may hold the labels of a task."""
    import tensorflow_datasets as tfds

    kinds = tfds.features
    others = (
        kinds.Image,
        kinds.Video,
        kinds.Audio,
        kinds.BBoxFeature,
        kinds.FeaturesDict,
        kinds.Dataset,
    )
    several = isinstance(feature, kinds.Sequence)
    inner = feature.feature if several else feature
    fits = isinstance(inner, kinds.Tensor) and not isinstance(inner, others)
    if task == "regression":
        fits &= not isinstance(inner, kinds.Text)
    elif task == "single_label":
        fits &= not several and inner.shape == ()
    elif task == "multi_label":
        fits &= several or isinstance(feature, kinds.Text)
    if not fits or isinstance(feature, others):
        expected = {
            "single_label": "one name or class number",
            "multi_label": "a Sequence of names or class numbers",
            "regression": "numbers",
        }[task]
        raise InputError(
            f"feature {key!r} of {source} is {type(feature).__name__} {feature.shape}, but "
            f"{expected} per example is expected: pass label_column=..., or another task"
        )


def _class_names(feature: Any, task: str, source: str) -> tuple[str, ...] | None:
    inner = getattr(feature, "feature", feature) if task == "multi_label" else feature
    if task == "regression" or not hasattr(inner, "int2str"):
        return None
    return check_classes(
        sorted(checked_names(inner.names, f"the label feature of {source}")), source
    )


def _targets(
    labels: list[Any], names: list[str], task: str, source: str, classes: Sequence[str] | None
) -> tuple[np.ndarray, tuple[str, ...] | None]:
    if task == "regression":
        shapes = {np.shape(label) for label in labels}
        if len(shapes) > 1:
            raise InputError(f"{source} has labels of {len(shapes)} lengths, but one is expected")
        return np.stack(labels), None
    if task == "multi_label":
        refuse_rows_of_bits(labels, source)
        return multi_label_targets(labels, names, source, classes)
    return class_targets(labels, names, source, classes)
