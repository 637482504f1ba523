"""Exported question answering: two strings in, the answer and its bytes out, through the C API."""

import numpy as np
import pytest
from processes import ask

import kft
from kft.answers import NumpyOps
from kft.export import check_version, clients
from kft.model.forward import Forward
from kft.testing.families import TinyTexts, save_tiny_bert, tiny_texts

pytestmark = pytest.mark.once

PAIRS = [
    ("is\nit", "É the film\u2019s plot."),
    ("was it", "bad 中 film"),
    ("", "a"),
    ("was", ""),
    ("a", "was " * 30),
]


def test_an_export_takes_questions_and_contexts_and_cuts_the_answers_out(tmp_path):
    preset = save_tiny_bert(tmp_path / "preset")
    recipe = TinyTexts(preset, task=kft.tasks.Spans(), backbone_dropout=0.0)
    contexts = tiny_texts(24)
    answers = [[] if place % 3 else (0, text.split()[0]) for place, text in enumerate(contexts)]
    pairs = [("is it", context) for context in contexts]
    recipe.fit((pairs, answers), stages=[kft.Stage(0, 1, 1e-2)], verbose=0)
    version = recipe.export(tmp_path / "served")
    assert check_version(version) == []

    def asked(rows):
        columns = map(list, zip(*rows, strict=True))
        return "serving_default", dict(zip(("question", "context"), columns, strict=True))

    raw = [tuple(part.encode() for part in pair) for pair in PAIRS]
    alone, mixed = ask(version, [asked(raw), asked([(b"is", b"\xff"), *raw])])
    assert mixed["status"] == ["not UTF-8", *[""] * len(PAIRS)]
    assert mixed["answer"][0] == ""
    texts = [recipe.task.as_input(pair) for pair in PAIRS]
    outputs = Forward(recipe.model)(recipe.load(texts))
    expected = recipe.task.answer(outputs, recipe.classes, NumpyOps())
    for name in ("start", "end"):
        assert alone[name] == mixed[name][1:] == expected[name].tolist()
    np.testing.assert_allclose(alone["score"], expected["score"], atol=1e-5)
    for (_, context), answer, start, end in zip(
        raw, alone["answer"], alone["start"], alone["end"], strict=True
    ):
        assert answer.encode() == (context[start:end] if end > 0 else b"")
    assert (alone["start"][3], alone["answer"][3]) == (-1, "")
    made = clients.files(version)
    assert '"context": options.inputs[1::2]' in made["grpc_client.py"]
    for script in ("rest_client.py", "grpc_client.py", "tensorflow_client.py"):
        compile(made[script], script, "exec")
