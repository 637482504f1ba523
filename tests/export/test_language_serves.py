"""Exported language models: prompts in, next tokens out, through the C API."""

import pytest
from processes import ask

import kft
from kft.answers import NumpyOps
from kft.export import check_version
from kft.model.forward import Forward
from kft.testing.families import TinyLanguage, save_tiny_llama, tiny_texts
from tests.recipes import tiny_gpt2

pytestmark = pytest.mark.once

PROMPTS = ["the film", "", "é " * 40 + "good plot", "the " * 30]


@pytest.mark.parametrize("save_preset", [save_tiny_llama, tiny_gpt2.save_preset])
def test_an_export_answers_with_the_next_tokens(save_preset, tmp_path):
    recipe = TinyLanguage(save_preset(tmp_path / "preset"))
    recipe.fit(tiny_texts(24), stages=[kft.Stage("all", 2, 1e-2)], verbose=0)
    version = recipe.export(tmp_path / "served")
    assert check_version(version) == []
    raw = [text.encode() for text in PROMPTS]
    rows = [[one.decode("latin-1") for one in some] for some in (raw, [b"\xff", *raw])]
    alone, mixed = ask(version, [("serving_default", some) for some in rows])
    outputs = Forward(recipe.model)(recipe.load(PROMPTS))
    expected = recipe.task.answer(outputs, recipe.output_names, NumpyOps())
    assert mixed["status"] == ["not UTF-8", "", "", "", ""]
    for row, found in enumerate(alone["tokens"]):
        assert found[0] == mixed["tokens"][1 + row][0] == expected["tokens"][row, 0].decode()
    assert alone["scores"][0] == pytest.approx(expected["scores"][0].tolist(), abs=1e-5)
