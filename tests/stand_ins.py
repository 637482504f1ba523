"""Generated pictures and texts in the format of the public data of the case studies."""

import csv
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from kft.testing import families

CIFAR10 = ("airplane", "automobile", "deer", "dog", "horse", "ship", "truck")
WEIGHTS = "mobilenet_v2_0.35_224_notop.weights.h5"


def random_weights(folder: Path) -> None:
    """Write untrained weights of MobileNetV2 under the name of the pretrained ones."""
    backbone = keras.applications.MobileNetV2(
        input_shape=(32, 32, 3), alpha=0.35, include_top=False, weights=None
    )
    backbone.save_weights(folder / WEIGHTS)


def cifar10(folder: Path, each: int = 12) -> None:
    """Write folders `train/airplane` and so on; each class has its own colour."""
    random = np.random.default_rng(0)
    for part in ("train", "test"):
        for hue, name in enumerate(CIFAR10):
            (folder / part / name).mkdir(parents=True)
            for index in range(each):
                _draw(folder / part / name / f"{index:04}.jpg", hue, random)


def ham10000(folder: Path, lesions: int = 60) -> None:
    """Write a table and pictures of lesions, every third of which was photographed twice."""
    random = np.random.default_rng(0)
    kinds = ("nv", "mel", "bkl", "bcc", "akiec", "vasc", "df")
    rows = []
    for lesion in range(lesions):
        hue = lesion % 2 if lesion % 3 else lesion // 3 % len(kinds)
        for _ in range(1 + (lesion % 3 == 0)):
            name = f"ISIC_{len(rows):07}"
            age, sex = (
                ("", "unknown") if lesion == 4 else (20 + lesion, ("male", "female")[lesion % 2])
            )
            rows.append((f"HAM_{lesion}", name, kinds[hue], "histo", age, sex, "back"))
    (folder / "images").mkdir()
    for _, name, kind, *_ in rows:
        _draw(folder / "images" / f"{name}.jpg", kinds.index(kind), random)
    with (folder / "HAM10000_metadata.csv").open("w", newline="") as file:
        head = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")
        csv.writer(file).writerows([head, *rows])


def wnut17(folder: Path, texts: int = 40) -> None:
    """Write CoNLL files of short texts; words of three types are in a name of up to two words."""
    types = {"film": "product", "actor": "person", "plot": "group"}
    for part, seed in (("train", 0), ("test", 1)):
        lines = []
        for text in families.tiny_texts(texts, seed=seed):
            tags = ["O"] * len(words := text.split())
            for place, word in enumerate(words):
                if word in types:
                    begun = place and tags[place - 1][2:] == types[word]
                    tags[place] = f"{'I' if begun else 'B'}-{types[word]}"
            lines += [*map("\t".join, zip(words, tags, strict=True)), ""]
        (folder / f"{part}.conll").write_text("\n".join(lines) + "\n")


def bccd(folder: Path, images: int = 24) -> None:
    """Write Pascal VOC folders of pictures with a square in the colour of its class, and their parts."""
    random = np.random.default_rng(0)
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    names = [f"BloodImage_{index:05}" for index in range(images)]
    for index, name in enumerate(names):
        hue, left = index // 3 % 3, 4 + index % 8
        right = left + 20 * (index > 0)  # the first box is empty, as two of the real ones are
        square = (left, 8, left + 20, 28)
        _draw(folder / "JPEGImages" / f"{name}.jpg", 1 + hue, random, square)
        (folder / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><filename>{name}.jpg</filename><object>"
            f"<name>{('Platelets', 'RBC', 'WBC')[hue]}</name><bndbox><xmin>{left}</xmin><ymin>8</ymin>"
            f"<xmax>{right}</xmax><ymax>28</ymax></bndbox></object></annotation>"
        )
    for start, part in enumerate(("train", "val", "test")):
        listed = "\n".join(names[start::3])
        (folder / "ImageSets" / "Main" / f"{part}.txt").write_text(listed + "\n")


def plays(folder: Path, speeches: int = 24) -> None:
    """Write a text file of short speeches."""
    texts = [f"ROMEO:\n{text}" for text in families.tiny_texts(speeches)]
    (folder / "input.txt").write_text("\n\n".join(texts) + "\n")


def tiny_llama(folder: Path) -> None:
    """Write an untrained language model."""
    families.save_tiny_llama(folder)


def tiny_bert(folder: Path) -> None:
    """Write an untrained BERT that knows the words of `wnut17`."""
    families.save_tiny_bert(folder)


def _draw(
    path: Path, hue: int, random: np.random.Generator, box: tuple[int, ...] = (0, 0, 32, 32)
) -> None:
    pixels = random.integers(0, 60, (32, 32, 3), dtype="uint8")
    left, top, right, bottom = box
    pixels[top:bottom, left:right] += np.array([hue & 1, hue >> 1 & 1, hue >> 2 & 1], "uint8") * 150
    Image.fromarray(pixels).save(path)
