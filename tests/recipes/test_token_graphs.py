"""Graphs from texts to tokens: shared by equal tokenizers, and by no others."""

import keras_hub
import pytest

from kft.recipe.token_graphs import digest, graph
from kft.recipe.tokenization import pack, with_length
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
