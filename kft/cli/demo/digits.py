"""The digits of the demo: scikit-learn's, each at a random place on a larger dark picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

SIDE = 16  # pixels of a picture's side; scikit-learn's digits have 8 x 8 pixels
TEST = 400  # pictures of the digits 5 to 9 that no model is trained on


@dataclass(frozen=True)
class Digits:
    """Pictures, uint8 `(n, 16, 16, 3)` with values from 0 to 255, and the names of their digits."""

    pictures: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.pictures, self.labels))  # unpacks to (x, y), which is what `fit` takes

    def take(self, indices: np.ndarray) -> Digits:
        """Return the pictures at `indices`."""
        return Digits(self.pictures[indices], self.labels[indices])


@dataclass(frozen=True)
class Task:
    """The data of the source model, the pool for the new digits, and the test data."""

    source: Digits
    pool: Digits
    test: Digits

    def few(self, examples: int, seed: int) -> Digits:
        """Return a few pictures of each new digit.

        Args:
            examples: Pictures of each digit.
            seed: Seed that selects the pictures.
        """
        order = np.random.default_rng(seed).permutation(len(self.pool))
        labels = self.pool.labels[order]
        kept = [order[labels == digit][:examples] for digit in np.unique(labels)]
        return self.pool.take(np.concatenate(kept))


def make_task(places: int = 2) -> Task:
    """Split the digits: 0 to 4 for the source model, 5 to 9 for training and test.

    Upright, centred 8 x 8 digits are so easy that pretraining gains nothing; digits anywhere on a
    larger picture require a model to learn shapes rather than positions. The source model also
    predicts rotation and mirroring: features that only distinguish 0 to 4 are too few for 5 to 9, as
    a backbone that has seen little does not transfer.

    Args:
        places: Number of positions at which the source model sees each digit in each orientation.
    """
    from sklearn.datasets import load_digits

    digits, numbers = load_digits(return_X_y=True)
    images = digits.reshape(-1, 8, 8) / 16 * 255
    random = np.random.default_rng(0)
    old, new = np.flatnonzero(numbers < 5), np.flatnonzero(numbers >= 5)
    random.shuffle(new)
    turned, names = _turned(images[old], numbers[old])
    target = placed(images[new], numbers[new].astype(str), random)
    return Task(
        source=placed(np.tile(turned, (places, 1, 1)), np.tile(names, places), random),
        pool=target.take(np.arange(TEST, len(target))),
        test=target.take(np.arange(TEST)),
    )


def _turned(images, numbers):
    """Return the images in each of eight orientations, and names such as `"3 mirrored, turned 90"`."""
    pictures, names = [], []
    for mirrored in (False, True):
        for quarters in range(4):
            seen = images[:, :, ::-1] if mirrored else images
            pictures.append(np.rot90(seen, quarters, axes=(1, 2)))
            position = f"{' mirrored,' if mirrored else ''} turned {90 * quarters}"
            names.append([f"{number}{position}" for number in numbers])
    return np.concatenate(pictures), np.concatenate(names)


def placed(images, labels, random):
    """Return the images at random places on larger dark pictures."""
    pictures = np.zeros((len(images), SIDE, SIDE, 3), "uint8")
    corners = random.integers(0, SIDE - 8, (len(images), 2), endpoint=True)
    for picture, image, (top, left) in zip(pictures, images, corners, strict=True):
        picture[top : top + 8, left : left + 8] = image[..., None]
    return Digits(pictures, labels)
