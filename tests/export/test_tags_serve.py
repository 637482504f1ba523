"""Exported taggers: raw texts in, tags of words and their bytes out, through the C API."""

import numpy as np
import pytest
from processes import ask

import kft
from kft.answers import NumpyOps
from kft.export import check_version
from kft.model.forward import Forward
from kft.testing.families import TinyTexts, save_tiny_bert, tiny_texts

pytestmark = pytest.mark.once

TEXTS = ["É the film\u2019s plot.", "good-bad  中 film", "", "was " * 30]


def test_an_export_answers_with_tags_and_bytes(tmp_path):
    preset = save_tiny_bert(tmp_path / "preset")
    recipe = TinyTexts(preset, task=kft.tasks.Tagging(), backbone_dropout=0.0)
    words = [text.split() for text in tiny_texts(24)]
    tags = [["B-A" if word == "film" else "O" for word in text] for text in words]
    recipe.fit((words, tags), stages=[kft.Stage(0, solve=True)], verbose=0)
    version = recipe.export(tmp_path / "served")
    assert check_version(version) == []
    raw = [text.encode() for text in TEXTS]
    alone, mixed = ask(
        version,
        [
            ("serving_default", [one.decode("latin-1") for one in rows])
            for rows in (raw, [b"\xff", *raw])
        ],
    )
    outputs = Forward(recipe.model)(recipe.load(TEXTS))
    expected = recipe.task.answer(outputs, recipe.classes, NumpyOps())
    assert mixed["status"] == ["not UTF-8", "", "", "", ""]
    for name in ("starts", "ends"):
        assert alone[name] == mixed[name][1:] == expected[name].tolist()
    assert (
        alone["tags"] == mixed["tags"][1:] == np.vectorize(bytes.decode)(expected["tags"]).tolist()
    )
    np.testing.assert_allclose(alone["scores"], expected["scores"], atol=1e-5)
    served = [
        [text[start:end].decode() for start, end in zip(*places, strict=True) if end > 0]
        for text, *places in zip(raw, alone["starts"], alone["ends"], strict=True)
    ]
    assert served[:3] == [
        ["É", "the", "film", "\u2019", "s", "plot", "."],
        ["good-bad", "中", "film"],
        [],
    ]
    assert served[3] == ["was"] * (recipe.length - 2)
