"""Answers of exports, and versions that the exporter refuses to publish."""

import json
import subprocess
import sys

import numpy as np
import pytest
from builds import MADE, TEXTS, png
from processes import ask

from kft.export import check_version, graphs

pytestmark = pytest.mark.once


@pytest.mark.parametrize("name", MADE)
def test_an_export_passes_its_check_again(made, name):
    assert check_version(made(name)) == []


def test_batch_norm_is_part_of_the_convolutions(made):
    """Folded only if weights are stored in the type of the computation."""
    inverted = {}
    for name in ("image", "half"):
        functions = graphs.read(made(name)).functions.values()
        ops = {node.op for function in functions for node in function.node_def}
        assert "Conv2D" in ops
        inverted[name] = "Rsqrt" in ops
    assert inverted == {"image": False, "half": True}


def test_a_classifier_answers_labels_ordered_by_score(made):
    (answer,) = ask(made("image"), [("serving_default", [png(0), png(1), png(2)])])
    assert {sorted(row)[0] for row in answer["classes"]} == {"cat"}
    assert np.all(np.diff(answer["scores"], axis=1) <= 0)
    np.testing.assert_allclose(np.sum(answer["scores"], axis=1), 1, atol=1e-5)
    assert answer["label"] == [row[0] for row in answer["classes"]]


def test_a_batch_may_have_any_size(made):
    answers = ask(made("image"), [("serving_default", [png(7)] * n) for n in (1, 3, 33)])
    assert [len(answer["label"]) for answer in answers] == [1, 3, 33]
    np.testing.assert_allclose(answers[2]["scores"], answers[0]["scores"] * 33, atol=1e-6)


@pytest.mark.parametrize("name", ["image", "text"])
def test_a_batch_of_none_is_answered_or_refused_and_the_next_is_answered(made, name):
    raw = {"image": png(7), "text": b"a great film"}[name]
    empty, next_one = ask(made(name), [("serving_default", []), ("serving_default", [raw])])
    assert "error" in empty or empty["label"] == []
    assert len(next_one["label"]) == 1


def test_float_images_are_a_second_way_in(made):
    grey = np.full((2, 12, 12, 3), 128.0).tolist()
    (answer,) = ask(made("image"), [("tensors", grey)])
    assert len(answer["label"]) == 2


def test_several_labels_are_joined_and_there_may_be_none(made):
    (answer,) = ask(made("multi_label"), [("serving_default", [png(s) for s in range(30)])])
    for classes, scores, label in zip(
        *(answer[k] for k in ("classes", "scores", "label")), strict=True
    ):
        chosen = [name for name, score in zip(classes, scores, strict=True) if score >= 0.5]
        assert label == "|".join(chosen)


def test_a_regression_answers_a_value(made):
    one, two = (
        ask(made(n), [("serving_default", [png(0), png(1)])])[0]
        for n in ("regression", "regression_of_two")
    )
    assert np.shape(one["value"]) == (2,)
    assert np.shape(two["value"]) == (2, 2)


def test_text_needs_no_tokenizer_beside_the_server(made):
    raw = [text.encode() for text in TEXTS]
    answers = ask(made("text"), [("serving_default", raw), ("embed", raw)])
    assert set(answers[0]["label"]) <= {"bad", "good"}
    assert np.shape(answers[1]["features"]) == (len(TEXTS), 8)


def test_half_the_bits_need_half_the_space_and_answer_alike(made):
    answers = [ask(made(n), [("serving_default", [png(0)])])[0] for n in ("image", "half")]
    assert answers[0]["label"] == answers[1]["label"]
    np.testing.assert_allclose(answers[0]["scores"], answers[1]["scores"], atol=1e-2)
    for name, kernels in (("image", np.float32), ("half", np.float16)):
        stored = stored_in(made(name))
        found = {dtype for dtype, shape in stored if len(shape) >= 2}
        assert found == {np.dtype(kernels)}, name
        assert (np.dtype(np.float32), [3]) in stored  # a bias is tiny and keeps its type


def stored_in(version):
    """Return type and shape of each variable of a version."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(version / "variables" / "variables"))
    types, shapes = reader.get_variable_to_dtype_map(), reader.get_variable_to_shape_map()
    return [(np.dtype(types[n].as_numpy_dtype), shapes[n]) for n in types if "OBJECT" not in n]


def test_quantised_weights_are_stored_as_integers(made):
    assert np.dtype(np.int8) in {dtype for dtype, _ in stored_in(made("int8"))}


def facts_of(version) -> dict:
    return json.loads((version / "assets.extra" / "kft.json").read_text())


def test_metadata_say_what_the_answers_may_differ_by(made):
    """The tolerance depends on the model: large values before BatchNorm leave fewer digits."""
    small, large = (facts_of(made(name))["tolerance"] for name in ("image", "large_values"))
    assert small["features"] < 1e-4
    assert large["features"] > 1e-2
    assert set(facts_of(made("regression"))["tolerance"]) == {"value", "outputs", "features"}


def test_metadata_say_what_became_of_batch_norm(made):
    assert facts_of(made("image"))["batch_norm"] == "folded into the convolutions"
    assert facts_of(made("half"))["batch_norm"] == "kept: kernels are stored in float16"
    assert facts_of(made("unfoldable"))["batch_norm"].startswith(
        "kept: folding it into the convolutions would change scores by inf, but rounding explains only"
    )
    assert facts_of(made("text"))["batch_norm"] is None


def test_metadata_say_what_the_version_is(made):
    facts = json.loads((made("image") / "assets.extra" / "kft.json").read_text())
    assert facts["classes"] == ["cat", "dög", "猫"]
    assert facts["task"] == "single_label"
    assert facts["answers"]["rankings"] == [
        {"classes": "classes", "scores": "scores", "label": "label", "threshold": None}
    ]
    assert len(facts["weights_sha256"]) == 64
    assert facts["packages"]["tensorflow"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("raises_for_a_bad_row", "must leave it out and give it a status"),
        ("one_weight", "differs from the prediction"),
        ("half_one_weight", "differs from the prediction"),
        ("int8_one_weight", "differs from the prediction"),
        ("dropout_at_inference", "would change the model"),
        ("counts_requests", "would change the model"),
        ("python_in_the_graph", "calls Python"),
        ("other_preprocessing", "differs from the prediction"),
        ("compiled_by_xla", "compiled by XLA"),
        ("integers_of_equal_scores", "rounding alone changes 'best'"),
    ],
)
def test_what_would_not_serve_is_refused_with_its_reason(exports, refused, name, reason):
    assert reason in refused[name]
    assert list((exports[0] / name).iterdir()) == []


def test_an_output_that_every_export_has_is_refused_before_any_work(exports, refused):
    assert (
        "answers with an output 'status', but each export already has an output"
        in (refused["reserved_name"])
    )
    assert not (exports[0] / "reserved_name").exists()


def test_the_check_needs_neither_keras_nor_the_tensorflow_package(made):
    code = (
        "import sys; from kft.export import check; assert check.main([sys.argv[1]]) == 0; "
        "print([m for m in ('keras', 'keras_hub', 'tensorflow.python') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(made("text"))], capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
