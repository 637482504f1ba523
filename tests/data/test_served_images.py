"""Untrusted images become the same pixels as in training, or a status."""

import numpy as np
import pytest
import tensorflow as tf

from kft.data import images
from kft.data.failed_rows import map_rows
from kft.data.served_images import decode_rows
from tests.data.test_images import FORMS, convert

pytestmark = pytest.mark.once


def test_every_form_of_image_becomes_the_same_pixels_to_the_bit(picture, encode):
    encoded = [
        encode(convert(picture, mode), name, **options) for mode, name, options in FORMS.values()
    ]
    pixels, status = decode_rows(tf.constant(encoded), (16, 24), 50_000_000)
    assert set(status.numpy()) == {b""}
    np.testing.assert_array_equal(pixels, images.load(encoded, (16, 24)))


def test_no_rows_and_no_good_rows_are_answered():
    for rows in ([], [b"", b"no image"]):
        pixels, status = decode_rows(tf.constant(rows, tf.string), (4, 5), 100)
        assert pixels.shape == (0, 4, 5, 3)
        assert len(status) == len(rows)


def test_rows_that_raise_are_left_out():
    def number(text):
        return tf.strings.to_number(text)

    rows = tf.constant(["1", "two", "3", ""])
    index, values = map_rows(number, rows, 0.0)
    np.testing.assert_array_equal(index, [0, 2])
    np.testing.assert_array_equal(values, [1, 3])
