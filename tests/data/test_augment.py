import keras
import numpy as np
import pytest

from kft import InputError
from kft.data.augment import ImageAugmentation, TextAugmentation, image_augmentation
from kft.data.batches import Batches
from kft.data.examples import Examples
from kft.data.kinds import SingleLabels
from tests.later import made


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 255, (6, 16, 20, 3)).astype("float32")


ROWS = np.eye(3, dtype="float32")[[0, 1, 2, 0, 1, 2]]
INDICES = np.array([0, 1, 2, 0, 1, 2])


@pytest.fixture(scope="module")
def standard():
    return image_augmentation("standard")


def test_the_seed_decides_every_bit(standard, images):
    first, targets = standard(images, INDICES, seed=(0, 1, 2))
    standard(images[:3], INDICES[:3], seed=(9, 9, 9))
    again, _ = standard(images, INDICES, seed=(0, 1, 2))
    fresh, _ = image_augmentation("standard")(images, INDICES, seed=(0, 1, 2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, fresh)
    np.testing.assert_array_equal(targets, INDICES)
    for other in ((0, 1, 3), (0, 2, 2), (1, 1, 2)):
        assert not np.array_equal(first, standard(images, INDICES, seed=other)[0])


def test_images_keep_their_size_type_and_range(standard, images):
    augmented, _ = standard(images, INDICES, seed=(0, 0, 0))
    assert augmented.shape == images.shape
    assert augmented.dtype == np.float32
    assert augmented.min() >= 0
    assert augmented.max() <= 255


def test_each_image_is_augmented_in_its_own_way(standard, images):
    same = np.repeat(images[:1], 6, axis=0)
    augmented, _ = standard(same, INDICES, seed=(0, 0, 0))
    assert len({one.tobytes() for one in augmented}) == 6


def test_a_mixed_precision_policy_leaves_images_in_float32(images):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = image_augmentation("light")(images, INDICES, seed=(0, 0, 0))[0]
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(
        mixed, image_augmentation("light")(images, INDICES, seed=(0, 0, 0))[0]
    )


@pytest.mark.once  # tracing RandAugment on JAX takes half a minute
def test_strong_mixes_targets_by_either_of_two_ways(images):
    strong = image_augmentation("strong")
    assert strong.soft_targets
    assert not image_augmentation("standard").soft_targets
    assert repr(strong).endswith("RandAugment, MixUp or CutMix>")
    for batch in range(4):
        augmented, rows = strong(images, ROWS, seed=(0, 0, batch))
        np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-5)
        assert augmented.shape == images.shape
        np.testing.assert_array_equal(augmented, strong(images, ROWS, seed=(0, 0, batch))[0])


@pytest.mark.parametrize("layer", [keras.layers.MixUp, keras.layers.CutMix])
def test_targets_are_mixed_as_the_images_are(layer):
    # Image i is filled with the value i, so that the mean shows the mixture.
    x = np.broadcast_to(np.arange(6.0)[:, None, None, None], (6, 32, 32, 3)).astype("float32")
    augment = ImageAugmentation([layer(1.0)])
    mixed, rows = augment(x, np.eye(6, dtype="float32"), seed=(0, 0, 1))
    assert not np.array_equal(rows, np.eye(6))
    np.testing.assert_allclose(mixed.mean(axis=(1, 2, 3)), rows @ np.arange(6.0), atol=0.35)


def test_ones_own_layers_and_functions(images):
    crop = image_augmentation([keras.layers.RandomCrop(8, 8), keras.layers.RandomContrast(0.5)])
    assert crop(images, INDICES, seed=(0, 0, 0))[0].shape == images.shape
    assert image_augmentation(crop) is crop
    assert image_augmentation("none") is image_augmentation(None) is None


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        ("wild", r"augment='wild', but one of 'none', 'light', 'standard', 'strong', a list of"),
        ([], r"augment has None, but Keras layers are expected"),
        (["flip"], r"augment has 'flip', but Keras layers are expected, such as"),
        (keras.layers.RandomFlip, r"put a single layer into a list"),
        (3, r"augment=3, but a preset, a list of Keras layers or a function"),
    ],
)
def test_what_is_no_augmentation_is_told_what_is(augment, message):
    with pytest.raises(InputError, match=message):
        image_augmentation(made(augment))


def test_wrong_batches_are_refused(images, standard):
    mix = ImageAugmentation([keras.layers.MixUp(0.2)])
    with pytest.raises(InputError, match=r"these are class indices: pass one-hot rows"):
        mix(images, INDICES, seed=(0, 0, 0))
    with pytest.raises(InputError, match=r"needs images \[n, height, width, channels\], not tuple"):
        standard((images,), INDICES, seed=(0, 0, 0))
    for inputs, count in (({"a": images, "b": images}, 2), ({"a": INDICES}, 0)):
        with pytest.raises(InputError, match=rf"needs one input of images .* has {count} of them"):
            standard(inputs, INDICES, seed=(0, 0, 0))


def test_of_several_inputs_the_images_are_augmented_and_all_targets_mixed(images, standard):
    inputs, boxes = {"photo": images, "size": INDICES}, np.empty(6, object)
    x, y = standard(inputs, {"kind": INDICES, "boxes": boxes}, seed=(0, 0, 0))
    np.testing.assert_array_equal(x["photo"], standard(images, INDICES, seed=(0, 0, 0))[0])
    assert x["size"] is INDICES
    assert y["kind"] is INDICES
    assert y["boxes"] is boxes
    mix = ImageAugmentation([keras.layers.MixUp(0.9)])
    rows = np.eye(3, dtype="float32")[INDICES]
    _, mixed = mix(images, {"kind": rows, "ages": np.arange(6, dtype="float32")}, seed=(0, 0, 0))
    _, alone = mix(images, rows, seed=(0, 0, 0))
    np.testing.assert_array_equal(mixed["kind"], alone)
    assert mixed["ages"].shape == (6,)
    assert not np.array_equal(mixed["ages"], np.arange(6))
    texts, _ = TextAugmentation(deletion=0.3)({"text": TEXTS, "n": INDICES[:4]}, None, (0, 0, 0))
    assert texts["text"][0] != TEXTS[0]


def test_batches_are_augmented_alike_whichever_comes_first(standard, images):
    examples = Examples("arrays", images, INDICES, ("a", "b", "c"), "arrays", task=SingleLabels())
    options = {"batch_size": 2, "shuffle": True, "augment": standard}
    ahead = Batches(examples, lambda x: x, workers=2, **options)
    alone = Batches(examples, lambda x: x, workers=0, **options)
    expected = [alone[index] for index in (2, 0, 1)]
    for index, (x, y) in zip((2, 0, 1), expected, strict=True):
        np.testing.assert_array_equal(ahead[index][0], x)
        np.testing.assert_array_equal(ahead[index][1], y)


def test_mixing_batches_have_one_hot_targets(images):
    examples = Examples("arrays", images, INDICES, ("a", "b", "c"), "arrays", task=SingleLabels())
    mix = ImageAugmentation([keras.layers.MixUp(0.9)])
    batches = Batches(examples, lambda x: x, batch_size=6, augment=mix, soft_targets=True)
    np.testing.assert_allclose(batches[0][1].sum(axis=1), 1, rtol=1e-6)


TEXTS = np.array(["one two three four five six seven", "alone", "", "two words"], dtype=object)


def test_texts_lose_and_swap_words_by_the_seed():
    augment = TextAugmentation(deletion=0.3, swap=0.3)
    first, targets = augment(TEXTS, INDICES[:4], seed=(0, 0, 0))
    again, _ = TextAugmentation(deletion=0.3, swap=0.3)(TEXTS, INDICES[:4], seed=(0, 0, 0))
    assert list(first) == list(again)
    assert first[0] != TEXTS[0]
    assert set(first[0].split()) < set(TEXTS[0].split())
    assert list(first[1:3]) == ["alone", ""]
    assert list(first) != list(augment(TEXTS, INDICES[:4], seed=(0, 0, 1))[0])
    np.testing.assert_array_equal(targets, INDICES[:4])
    assert TEXTS[0].startswith("one two")


def test_a_text_never_loses_its_last_word():
    texts, _ = TextAugmentation(deletion=1.0)(TEXTS, INDICES[:4], seed=(0, 0, 0))
    assert all(new.split() for new, old in zip(texts, TEXTS, strict=True) if old)


def test_texts_are_augmented_before_they_are_loaded():
    examples = Examples(
        "texts", TEXTS, np.array([0, 1, 0, 1]), ("a", "b"), "arrays", task=SingleLabels()
    )
    batches = Batches(
        examples,
        lambda texts: np.array([len(text.split()) for text in texts]),
        batch_size=4,
        augment=TextAugmentation(deletion=0.5),
    )
    assert batches[0][0][0] < 7


@pytest.mark.parametrize("rate", [-0.1, 1.5])
def test_a_wrong_rate_is_named(rate):
    with pytest.raises(InputError, match=rf"swap={rate}, but a probability from 0 to 1"):
        TextAugmentation(swap=rate)


class Tinted(keras.layers.Layer):
    """A custom layer with one setting of any type."""

    def __init__(self, table, **settings):
        super().__init__(**settings)
        self.table = table

    def get_config(self):
        return {**super().get_config(), "table": self.table}


@pytest.mark.once
def test_what_an_augmentation_is_known_by_does_not_depend_on_what_was_made_before():
    def described(factor):
        inner = keras.layers.Pipeline([keras.layers.RandomRotation(factor)])
        return ImageAugmentation([keras.layers.RandomFlip(), inner]).describe()

    assert described(0.1) == described(0.1)  # although its layers have other names
    assert described(0.1) != described(0.2)


@pytest.mark.once
def test_settings_of_an_augmentation_count_by_their_whole_content():
    table = np.zeros(5000)
    other = table.copy()
    other[2500] = 1  # which NumPy omits when printing so many numbers
    described = {
        ImageAugmentation([Tinted(one)]).describe() for one in (table, other, table.copy())
    }
    assert len(described) == 2
    assert "numpy.zeros" in ImageAugmentation([Tinted(np.zeros)]).describe()
    with pytest.raises(
        InputError, match=r"layer 'odd' of augment has settings .*: define its get_"
    ):
        ImageAugmentation([Tinted(object(), name="odd")]).describe()
