"""The digits of the demo: scikit-learn's, each somewhere on a larger dark picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

SIDE = 16  # of a picture; scikit-learn's digits have 8 x 8 pixels
TEST = 400  # pictures of the digits 5 to 9 that no model learns from


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
        """The pictures at `indices`."""
        return Digits(self.pictures[indices], self.labels[indices])


@dataclass(frozen=True)
class Task:
    """What the source model learns, what may be learned from afterwards, and what judges."""

    source: Digits
    pool: Digits
    test: Digits

    def few(self, examples: int, seed: int) -> Digits:
        """A few pictures of each new digit.

        Args:
            examples: Pictures of each digit.
            seed: Another seed draws other pictures.
        """
        order = np.random.default_rng(seed).permutation(len(self.pool))
        labels = self.pool.labels[order]
        kept = [order[labels == digit][:examples] for digit in np.unique(labels)]
        return self.pool.take(np.concatenate(kept))


def make_task(places: int = 4) -> Task:
    """Split the digits: 0 to 4 for the source model, 5 to 9 to learn from and to judge by.

    Upright, centred 8 x 8 digits are so easy that nothing is gained by pretraining; a digit
    anywhere on a larger picture asks a model to learn shapes rather than places.

    Args:
        places: At how many places the source model sees each digit.
    """
    from sklearn.datasets import load_digits

    digits, numbers = load_digits(return_X_y=True)
    images = digits.reshape(-1, 8, 8) / 16 * 255
    random = np.random.default_rng(0)
    old, new = np.flatnonzero(numbers < 5), np.flatnonzero(numbers >= 5)
    random.shuffle(new)
    target = _place(images[new], numbers[new], random)
    return Task(
        source=_place(np.tile(images[old], (places, 1, 1)), np.tile(numbers[old], places), random),
        pool=target.take(np.arange(TEST, len(target))),
        test=target.take(np.arange(TEST)),
    )


def _place(images, numbers, random):
    pictures = np.zeros((len(images), SIDE, SIDE, 3), "uint8")
    corners = random.integers(0, SIDE - 8, (len(images), 2), endpoint=True)
    for picture, image, (top, left) in zip(pictures, images, corners, strict=True):
        picture[top : top + 8, left : left + 8] = image[..., None]
    return Digits(pictures, numbers.astype(str))
