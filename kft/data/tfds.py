"""TensorFlow Datasets: by name, or a directory prepared before, from which nothing is fetched."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kft.data.bad import BadExamples
from kft.data.examples import Examples
from kft.data.folder import check_images
from kft.data.image_files import MAX_PIXELS
from kft.data.labels import check_classes, class_targets, clean, multi_label_targets
from kft.errors import InputError

__all__ = ["is_prepared", "read_tfds"]


def is_prepared(folder: Path) -> bool:
    """Whether `folder` is a prepared TFDS dataset: its version directory or the one above."""
    return (folder / "dataset_info.json").is_file() or any(folder.glob("*/dataset_info.json"))


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
        InputError: No such dataset, split or feature, or it cannot be downloaded.
    """
    import tensorflow_datasets as tfds

    builder = _builder(name)
    source = f"TFDS {builder.info.full_name} {split}"
    bad = BadExamples(source, on_bad_example)
    features = builder.info.features
    wanted = tfds.features.Image if modality == "image" else tfds.features.Text
    keys = builder.info.supervised_keys or (None, None)
    label_key = _feature(features, (label_column, keys[1]), None, source, "label_column")
    given = text_column if modality == "text" else "image"
    input_key = _feature(features, (given, keys[0]), wanted, source, f"{modality} feature")
    decoders = {input_key: tfds.decode.SkipDecoding()} if modality == "image" else None
    try:
        dataset = builder.as_dataset(split=split, decoders=decoders, shuffle_files=False)
    except (ValueError, KeyError) as error:
        splits = ", ".join(map(repr, builder.info.splits))
        raise InputError(
            f"split={split!r} of {builder.info.full_name}: its splits are {splits}; name one, or a "
            "part such as 'train[:80%]'"
        ) from error
    rows = list(tfds.as_numpy(dataset))
    names = [f"example {index}" for index in range(len(rows))]
    reasons: dict[int, str] = {}
    values: list[Any] = [row[input_key] for row in rows]
    if modality == "image":
        reasons = check_images(values, max_pixels)
    else:
        values = [value.decode("utf-8", "replace") for value in values]
        reasons = {index: "empty text" for index, value in enumerate(values) if not value.strip()}
    feature = features[label_key]
    labels = [_label(row[label_key], feature, task) for row in rows]
    reasons |= {index: "no label" for index, label in enumerate(labels) if label is None}
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
        if not (path / "dataset_info.json").is_file():
            path = max(path.glob("*/dataset_info.json"), key=_version).parent
        return tfds.builder_from_directory(path)
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


def _version(path: Path) -> list[int]:
    return [int(part) if part.isdigit() else -1 for part in path.parent.name.split(".")]


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


def _label(value: Any, feature: Any, task: str) -> Any:
    """One example's label as text, texts or numbers; None where it is missing."""
    if task == "regression":
        numbers = np.asarray(value, dtype=np.float32)
        return numbers if np.isfinite(numbers).all() else None
    if task == "multi_label":
        inner = getattr(feature, "feature", feature)
        return [label for label in (_label(one, inner, "") for one in value) if label is not None]
    if isinstance(value, bytes):
        return clean(value.decode("utf-8", "replace")) or None
    if hasattr(feature, "int2str"):
        return clean(feature.int2str(int(value))) if value >= 0 else None
    return str(int(value))


def _class_names(feature: Any, task: str, source: str) -> tuple[str, ...] | None:
    inner = getattr(feature, "feature", feature) if task == "multi_label" else feature
    if task == "regression" or not hasattr(inner, "int2str"):
        return None
    return check_classes(sorted(map(clean, inner.names)), source)


def _targets(
    labels: list[Any], names: list[str], task: str, source: str, classes: Sequence[str] | None
) -> tuple[np.ndarray, tuple[str, ...] | None]:
    if task == "regression":
        return np.stack(labels).astype(np.float32), None
    if task == "multi_label":
        return multi_label_targets(labels, names, source, classes)
    return class_targets(labels, names, source, classes)
