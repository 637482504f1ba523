"""Reading TensorFlow Datasets by name, or from a prepared directory without downloads."""

import contextlib
import logging
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kft.data.columns import MOST_BYTES, RowNames
from kft.data.examples import Examples
from kft.data.files import missing, shown
from kft.data.images import check_images
from kft.data.label_columns import LabelColumns, label_columns, parts_of
from kft.data.prepared import INFO, check_prepared, is_prepared, newest_version
from kft.data.raw_labels import LabelForm, RawLabels
from kft.data.read_settings import ReadSettings
from kft.data.usable import usable_examples
from kft.data.values import text_value
from kft.errors import InputError

__all__ = ["is_prepared", "read_tfds"]


def read_tfds(name: str, how: ReadSettings) -> Examples:
    """Read a split of a TensorFlow Dataset into memory, images as the bytes of their files.

    Args:
        name: The name, such as "tf_flowers" (downloaded and prepared by TFDS if necessary), or the
            directory of a prepared dataset.
        how: How to read it. Columns name features, for which the dataset's supervised keys are the
            fallback; if the task has parts, features named like them are the default. Classes default
            to the sorted names of the label feature, the split to `"train"`.

    Returns:
        `Examples` of kind `"image_bytes"` or `"texts"`, in the order of the dataset.

    Raises:
        InputError: There is no such dataset, split or feature, it cannot be downloaded, or a prepared
            directory refers to code.
    """
    import tensorflow_datasets as tfds

    if how.modality not in ("image", "text"):
        raise InputError(
            f"TFDS {name!r}: {how.modality}s of TFDS are not read: pass a folder, a table, arrays or a "
            "tf.data.Dataset"
        )
    builder = _builder(name)
    split = how.split or "train"
    source = f"TFDS {builder.info.full_name} {split}"
    bad = how.bad_examples(source)
    features = builder.info.features
    wanted = tfds.features.Image if how.modality == "image" else tfds.features.Text
    keys = builder.info.supervised_keys or (None, None)
    inputs = how.text_column if how.modality == "text" else "image"
    columns = label_columns(how.task, how.label_column, inputs)
    label_keys = [_label_key(one, features, keys[1], source) for one in columns]
    input_key = _feature(features, (inputs, keys[0]), wanted, source, f"{how.modality} feature")
    own = [_feature(features, (key,), None, source, name) for name, key in how.by.columns.items()]
    rows = _rows(builder, split, input_key, [*label_keys, *own], how.modality, source)
    names = RowNames("example", range(len(rows)))
    reasons: dict[int, str] = {}
    values: list[Any] = [row[input_key] for row in rows]
    if how.modality == "image":
        reasons = check_images(values, how.max_pixels)
    else:
        for index, value in enumerate(values):
            values[index], reason = text_value(value)
            if reason:
                reasons[index] = reason
    raw = [
        RawLabels([row[key] for row in rows], names, source, numbered=_numbered(features[key]))
        for key in label_keys
    ]
    return usable_examples(
        "image_bytes" if how.modality == "image" else "texts",
        values,
        how.task.targets(parts_of(columns, raw, names, source, values), how.classes),
        task=how.task,
        bad=bad,
        names=names,
        reasons=reasons,
        by=how.by.values(
            names,
            source,
            {name: [row[key] for row in rows] for name, key in how.by.columns.items()},
        ),
        nothing="has no usable example: name another split",
    )


def _builder(name: str) -> Any:
    import tensorflow_datasets as tfds

    path = Path(name)
    if os.path.isdir(path):
        path = newest_version(path)
        check_prepared(path)
        try:
            return tfds.builder_from_directory(path)
        except Exception as error:  # TFDS may raise anything for a damaged description
            raise _damaged(f"the prepared TFDS directory {shown(path)}", error) from error
    # TFDS reuses the files in its data directory under that name, so they are checked too.
    own = Path(tfds.core.constants.DATA_DIR, name.split(":")[0].split("/")[0])
    for info in own.rglob(INFO):
        check_prepared(info.parent, whole=False)
    try:
        builder = tfds.builder(name, try_gcs=False)
    except (tfds.core.registered.DatasetNotFoundError, ValueError, AssertionError) as error:
        raise InputError(
            f"{missing(name)}, nor a dataset of TFDS: check the path, or see "
            "https://www.tensorflow.org/datasets/catalog for the names, versions and configurations; "
            f"TFDS says: {_first_line(error)[:200]}"
        ) from error
    try:
        builder.download_and_prepare()
    except Exception as error:  # a download or a preparation script may raise anything
        raise InputError(
            f"TFDS {name!r} cannot be downloaded and prepared ({type(error).__name__}: {error}): "
            "prepare it on a machine with the network and pass the directory, such as "
            f"{builder.data_dir}"
        ) from error
    return builder


def _rows(
    builder: Any, split: str, input_key: str, label_keys: Sequence[str], modality: str, source: str
) -> list[dict[str, Any]]:
    """Return the examples of a split, decoding only the requested features."""
    import tensorflow_datasets as tfds

    skip = {input_key: tfds.decode.SkipDecoding()} if modality == "image" else None
    decoded = dict.fromkeys([input_key, *label_keys], True)
    decoders = tfds.decode.PartialDecoding(decoded, decoders=skip)
    try:
        with _without_deprecations():
            dataset = builder.as_dataset(split=split, decoders=decoders, shuffle_files=False)
    except (ValueError, KeyError, AssertionError) as error:
        splits = ", ".join(map(repr, builder.info.splits))
        raise InputError(
            f"split={split!r} of {builder.info.full_name}: its splits are {splits}; name one, or a "
            "part such as 'train[:80%]'"
        ) from error
    except (ImportError, NotImplementedError) as error:  # raised for formats other than TFRecord
        raise _damaged(source, error) from error
    rows, size = [], 0
    try:
        for row in tfds.as_numpy(dataset):
            rows.append(row)
            size += len(row[input_key]) + sum(_size(row[key]) for key in label_keys)
            if size > MOST_BYTES:
                raise InputError(
                    f"{source} has more than {MOST_BYTES:,} bytes: name a part of the split, such as "
                    f"'{split}[:10%]', or pass a tf.data.Dataset"
                )
    except InputError:
        raise
    except Exception as error:  # TensorFlow may raise anything for damaged files
        raise _damaged(source, error) from error
    return rows


@contextlib.contextmanager
def _without_deprecations() -> Iterator[None]:
    """Suppress the warning of TFDS (4.9.10) about its own use of `FeatureConnector.dtype`."""

    def is_other(record: logging.LogRecord) -> bool:
        return "`FeatureConnector.dtype` is deprecated" not in record.getMessage()

    logger = logging.getLogger("absl")
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


def _damaged(source: str, error: Exception) -> InputError:
    # Without the names of TensorFlow's operations.
    message = re.sub(r"\{\{.*?\}\} ", "", _first_line(error)).split(" [Op:")[0]
    return InputError(f"{source} cannot be read ({message[:200]}): prepare the dataset again")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _feature(features: Any, keys: tuple[Any, ...], kind: Any, source: str, what: str) -> str:
    """Return the first of `keys` that is a feature of the right kind, else the only one of that kind."""
    fitting = [key for key in features if kind is None or isinstance(features[key], kind)]
    for key in keys:
        if isinstance(key, str) and key in fitting:
            return key
    if kind is not None and len(fitting) == 1:
        return fitting[0]
    raise InputError(
        f"{source} has no {what} {keys[0]!r}, only {', '.join(features)}: name the right one"
    )


def _label_key(columns: LabelColumns, features: Any, supervised: str | None, source: str) -> str:
    """Return the feature that holds the labels of a part."""
    if len(columns.names) > 1:
        raise InputError(
            f"label_column={list(columns.names)!r:.100}, but the numbers of {source} are one feature: "
            "name one"
        )
    keys = (columns.names[0], None if columns.part else supervised)
    key = _feature(features, keys, None, source, "label_column")
    feature = features[key]
    refusal = columns.kind.refusal(_form(feature))
    if refusal:
        raise InputError(
            f"feature {key!r} of {source} is {type(feature).__name__} {feature.shape}, but {refusal}"
        )
    return key


def _form(feature: Any, depth: int = 0) -> LabelForm:
    import tensorflow_datasets as tfds

    kinds = tfds.features
    if isinstance(feature, kinds.Sequence):
        return _form(feature.feature, depth + 1)
    # Images, boxes and the like, some of which are subclasses of `Tensor`.
    others = (kinds.Image, kinds.Video, kinds.Audio, kinds.BBoxFeature)
    if not isinstance(feature, kinds.Tensor) or isinstance(feature, others):
        return LabelForm("other", depth, in_table=False)
    if isinstance(feature, kinds.Text):
        return LabelForm("text", depth, in_table=False)
    kind = np.dtype(feature.np_dtype).kind
    content = {"i": "integer", "u": "integer", "b": "number", "f": "number"}.get(kind, "text")
    return LabelForm(content, depth + len(feature.shape), in_table=False)


def _numbered(feature: Any) -> tuple[str, ...] | None:
    """Return the class names of a feature whose labels are numbers."""
    inner = getattr(feature, "feature", feature)
    return tuple(inner.names) if hasattr(inner, "int2str") else None


def _size(value: Any) -> int:
    """Return the bytes of a label, summed over its arrays."""
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    return len(value) if isinstance(value, bytes) else getattr(value, "nbytes", 0)
