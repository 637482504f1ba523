"""Tasks that somebody else might write, from the documentation alone."""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

import kft
from kft.data.raw_labels import ReadTargets
from kft.data.targets import Targets

PADDING = -1  # in targets of whole numbers


class Boxes(kft.tasks.Task):
    """Up to three boxes in each image: [x, y, width, height] from 0 to 1."""

    name = "boxes"
    needs = "map"
    reads_inputs = False
    most = 3

    def targets(self, raw, classes=None):
        read = super().targets(raw, classes)
        for place, boxes in enumerate(raw.values):
            if place not in read.reasons and len(boxes) > self.most:
                read.reasons[place] = raw.with_column(f"more than {self.most} boxes")
        return read

    def collate(self, rows, inputs):
        padded = np.full((len(rows), self.most, 4), PADDING, "float32")
        for place, boxes in enumerate(rows):
            padded[place, : len(boxes)] = boxes
        return padded

    def head(self, features, inputs):
        x = layers.Flatten(name=self.named("flatten"))(features)
        x = layers.Dense(self.most * 5, dtype="float32", name=self.named("dense"))(x)
        return layers.Reshape((self.most, 5), name=self.named("boxes"))(x)

    def loss(self):
        return boxes_loss

    def answer(self, outputs, classes, ops):
        return {"boxes": outputs[..., :4], "there": ops.cast(outputs[..., 4] > 0, "int32")}


def boxes_loss(y_true, y_pred):
    """Distance of the boxes that are there, and whether they are, from logits; for each image."""
    there = ops.cast(y_true[..., 0] >= 0, "float32")
    distance = ops.mean(ops.abs(y_true - y_pred[..., :4]), axis=-1) * there
    found = ops.binary_crossentropy(there, y_pred[..., 4], from_logits=True)
    return ops.sum(distance + found, axis=-1)


class Mask(kft.tasks.Task):
    """Which pixels of an image belong to a thing: arrays of 0 and 1."""

    name = "mask"
    needs = "map"
    objective = ("val_pixels", "max")

    def head(self, features, inputs):
        x = features
        for number, filters in enumerate((4, 1)):
            x = layers.Conv2DTranspose(
                filters,
                3,
                strides=2,
                padding="same",
                activation="relu" if number == 0 else "sigmoid",
                dtype="float32",
                name=self.named(f"up{number}"),
            )(x)
        return layers.Reshape(x.shape[1:3], name=self.named("mask"))(x)

    def loss(self):
        return keras.losses.BinaryCrossentropy()

    def metrics(self):
        return [keras.metrics.BinaryAccuracy(name="pixels")]

    def answer(self, outputs, classes, ops):
        return {"mask": ops.cast(outputs > 0.5, "int32")}


@dataclass(frozen=True, kw_only=True, repr=False)
class Tags(kft.tasks.Task):
    """A tag for each word of a text, by name."""

    name = "tags"
    needs = "tokens"
    most: int = 3  # tags that there are

    def targets(self, raw, classes=None):
        found = {tag for tags in raw.values if tags is not None for tag in tags}
        known = tuple(classes or sorted(found))
        reasons = {}
        for place, tags in enumerate(raw.values):
            if tags is None or not set(tags) <= set(known):
                reasons[place] = raw.with_column(f"{tags!r} is not a list of tags of {known}")
        rows = np.empty(len(raw.values), object)
        for place, tags in enumerate(raw.values):
            rows[place] = np.array(
                [known.index(tag) for tag in tags or () if tag in known], "int32"
            )
        return ReadTargets(
            reasons, lambda kept: Targets(rows if kept is None else rows[kept], known)
        )

    def collate(self, rows, inputs):
        padded = np.full(inputs["token_ids"].shape, PADDING, "int32")
        for place, tags in enumerate(rows):
            fit = tags[: padded.shape[1] - 1]
            padded[place, 1 : 1 + len(fit)] = fit  # the first token begins the text
        return padded

    def head(self, features, inputs):
        return layers.Dense(self.most, dtype="float32", name=self.named("tags"))(features)

    def loss(self):
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=PADDING)

    def answer(self, outputs, classes, ops):
        return {"tag": ops.labels(classes, ops.largest(outputs))}


@dataclass(frozen=True, kw_only=True, repr=False)
class NextToken(kft.tasks.Task):
    """The token that comes next; the labels are not looked at."""

    name = "next"
    needs = "tokens"
    vocabulary: int = 15

    def collate(self, rows, inputs):
        ids, real = (np.asarray(inputs[name]) for name in ("token_ids", "padding_mask"))
        following = np.full(ids.shape, PADDING, "int32")
        following[:, :-1] = np.where(real[:, 1:], ids[:, 1:], PADDING)
        return following

    def head(self, features, inputs):
        return layers.Dense(self.vocabulary, dtype="float32", name=self.named("next"))(features)

    def loss(self):
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=PADDING)

    def answer(self, outputs, classes, ops):
        return {"next": ops.largest(outputs)}


TWO_HEADS = kft.tasks.Several({"kind": kft.tasks.Classification(2), "boxes": Boxes()})
