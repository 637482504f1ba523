"""Tokenizer graphs, shared only by equal tokenizers."""

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from kft.recipe.token_graphs import digest, graph, with_length
from kft.recipe.tokenization import pack
from recipes import EncoderRecipe
from tests.recipes import tiny_encoders

PIECES = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *"abc", "ab", "bc"]


def byte_pairs(merges):
    vocabulary = {piece: number for number, piece in enumerate(PIECES)}
    return keras_hub.tokenizers.RobertaTokenizer(vocabulary=vocabulary, merges=merges)


def preprocessor(tokenizer, length=8):
    made = keras_hub.models.RobertaTextClassifierPreprocessor(tokenizer, sequence_length=length)
    return with_length(made, length)


@pytest.mark.once
def test_how_pieces_are_joined_is_part_of_a_tokenizer():
    assert digest(byte_pairs(["a b", "b c"]), 8) == digest(byte_pairs(["a b", "b c"]), 8)
    assert digest(byte_pairs(["a b", "b c"]), 8) != digest(byte_pairs(["b c", "a b"]), 8)
    assert digest(byte_pairs(["a b"]), 8) != digest(byte_pairs(["a b"]), 16)


@pytest.mark.once
@pytest.mark.parametrize("kind", ["Roberta", "Albert"])
def test_a_digest_knows_the_files_of_every_kind_of_tokenizer(kind, tmp_path):
    preset = tiny_encoders.save_preset(kind, tmp_path / "preset")
    one, other = (keras_hub.tokenizers.Tokenizer.from_preset(str(preset)) for _ in range(2))
    assert digest(one, 8) == digest(other, 8)


@pytest.mark.once
def test_equal_tokenizers_share_a_graph_and_others_do_not():
    first = graph(pack, preprocessor(byte_pairs(["a b", "b c"])), places=None)
    assert graph(pack, preprocessor(byte_pairs(["a b", "b c"])), places=None) is first
    assert graph(pack, preprocessor(byte_pairs(["b c", "a b"])), places=None) is not first
    assert graph(pack, preprocessor(byte_pairs(["a b", "b c"]), 16), places=None) is not first


@pytest.mark.parametrize("kind", ["Albert", "XLMRoberta"])
def test_sentence_pieces_outlive_a_seed(kind, tmp_path):
    """Setting a seed makes TensorFlow discard the resources that a tokenizer's ops have loaded."""
    preset = tiny_encoders.save_preset(kind, tmp_path / "preset")
    recipe = EncoderRecipe(str(preset), num_classes=2, sequence_length=16)
    before = recipe.load(tiny_encoders.TEXTS)["token_ids"]
    stream = recipe.from_stream(tf.data.Dataset.from_tensors((tiny_encoders.TEXTS, 0)))
    keras.utils.set_random_seed(1)
    np.testing.assert_array_equal(recipe.load(tiny_encoders.TEXTS)["token_ids"], before)
    ((streamed, _),) = stream
    np.testing.assert_array_equal(streamed["token_ids"], before)
