"""Byte-pair tokenizers in a server's graph: the same tokens and no growing table (KerasHub 0.32)."""

import keras_hub
import pytest
import tensorflow as tf

from kft.recipe.served_tokenizers import servable
from tests.recipes import tiny_encoders

pytestmark = pytest.mark.once

TEXTS = ["the good film.", "", "good good!", "a</s>good <mask>", "grüße 日本 ", "the " * 40]


def operations(function):
    graph = function.get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for one in graph.library.function for node in one.node_def)]
    return {node.op for node in nodes}


def test_a_byte_pair_tokenizer_is_served_without_its_table_of_words():
    tokenizer = tiny_encoders.KINDS["Roberta"]()
    cached = traced(tokenizer)
    assert "LookupTableInsertV2" in operations(cached), keras_hub.__version__
    served = servable(tokenizer)
    graph = traced(served)
    assert not {name for name in operations(graph) if "Insert" in name or "Mutable" in name}
    expected = cached(tf.constant(TEXTS)).to_list()
    for _ in range(2):
        assert graph(tf.constant(TEXTS)).to_list() == expected
    some = tf.constant(TEXTS[2:4])
    assert graph(some).to_list() == graph(tf.constant(TEXTS)).to_list()[2:4]


def test_special_tokens_stay_whole():
    served = servable(tiny_encoders.KINDS["Roberta"]())
    marks = ("</s>", "<mask>")
    tokens = traced(served)(tf.constant([TEXTS[3]])).to_list()[0]
    assert {served.token_to_id(mark) for mark in marks} <= set(tokens)


def traced(tokenizer):
    signature = [tf.TensorSpec([None], tf.string)]
    return tf.function(lambda texts: tokenizer(texts), input_signature=signature, autograph=False)
