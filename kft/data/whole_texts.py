"""Examples of whole texts in place of their pieces."""

from __future__ import annotations

import dataclasses

import numpy as np

from kft.data.examples import Examples
from kft.data.parts import Piece, as_piece, first_pieces

__all__ = ["whole_texts"]


def whole_texts(examples: Examples) -> Examples:
    """Return examples with a row for each text, as an evaluation counts them.

    Args:
        examples: Examples of which some may be pieces of longer texts; the targets of a text are those of its
            first piece.
    """
    if examples.kind != "texts" or not any(isinstance(one, Piece) for one in examples.inputs):
        return examples
    found = examples.take(first_pieces(examples.inputs))
    inputs = np.empty(len(found), object)
    inputs[:] = [as_piece(one).whole for one in found.inputs]
    return dataclasses.replace(found, inputs=inputs)
