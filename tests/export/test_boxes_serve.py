"""Exported detectors: encoded images in, boxes out, through the C API."""

import ast
import base64
import gc
import json
import sys
import warnings

import numpy as np
import pytest
from processes import run

import kft
from kft.answers import Answers, Detections, NumpyOps, Rules, Tensor, TensorFlowOps
from kft.export import check_version, clients
from kft.export.comparison import compare, distances
from kft.export.detections import boxes_apart
from kft.testing.families import TinyImages

pytestmark = pytest.mark.once

RULE = Detections("boxes", "scores", "labels", "count", 0.3, 0.5)
ASK = """
import base64, json, sys
import numpy as np
from kft.export import protos
from kft.export.session import Session
protos.without_tensorflow()
rows = np.array([base64.b64decode(one) for one in json.load(sys.stdin)], dtype=object)
with Session(sys.argv[1], threads=1) as session:
    answer = session.run("serving_default", {"inputs": rows})
print(json.dumps({
    "boxes": answer["boxes"].tolist(),
    "labels": [[one.decode() for one in row] for row in answer["labels"]],
    "count": answer["count"].tolist(),
    "status": [one.decode() for one in answer["status"]],
}))
"""


def test_an_export_answers_with_boxes_and_a_bad_row_with_none(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    images, boxes = np.zeros((24, 32, 32, 3), np.uint8), []
    for image in images:
        left, top = (int(one) for one in rng.integers(2, 16, 2))
        image[top : top + 12, left : left + 12] = 255
        boxes.append([[left, top, left + 12, top + 12, 0]])
    task = kft.tasks.Detection(("square",), channels=8, max_boxes=40, threshold=0.1)
    recipe = TinyImages(task=task, image_size=(32, 32))
    recipe.fit((images, boxes), 0.25, stages=[kft.Stage("all", 4, 1e-2)], batch_size=8, verbose=0)
    version = recipe.export(tmp_path / "served")
    assert check_version(version) == []
    files = [NumpyOps().png(image[None, ..., 0])[0] for image in images[:2]]
    coded = [base64.b64encode(one).decode() for one in (files[0], b"no image", files[1])]
    found = run("-c", ASK, str(version), stdin=json.dumps(coded)).stdout.splitlines()[-1]
    answer = json.loads(found)
    assert [bool(one) for one in answer["status"]] == [False, True, False]
    assert answer["count"][1] == 0
    expected = recipe.predict(files)
    assert sum(map(len, expected)) > 0
    for place, row in enumerate((0, 2)):
        count = answer["count"][row]
        assert count == len(expected[place])
        assert answer["labels"][row] == ["square"] * count + [""] * (40 - count)
        sides = [(one.left, one.top, one.right, one.bottom) for one in expected[place]]
        served = np.array(answer["boxes"][row])[:count] * 32
        np.testing.assert_allclose(served, np.reshape(sides, (-1, 4)), atol=1e-3)

    # The clients print as many boxes as there are, without what pads them.
    (tmp_path / "image.png").write_bytes(files[0])
    made = clients.files(version)
    monkeypatch.setattr(sys, "argv", ["client", str(tmp_path / "image.png")])
    capsys.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # a client reads files in one line
        exec(made["tensorflow_client.py"], {})
        gc.collect()
    printed = ast.literal_eval(capsys.readouterr().out)
    assert printed["labels"] == ["square"] * printed["count"]
    assert len(printed["boxes"]) == len(printed["scores"]) == printed["count"] < 40
    row = {name: answer[name][0] for name in ("boxes", "labels", "count")} | {"scores": [0.0] * 40}
    shown = made["rest_client.py"].rpartition("or ")[2].strip()[:-1]
    assert len(eval(shown, {"answer": row})["boxes"]) == answer["count"][0]


def test_both_libraries_suppress_alike():
    rng = np.random.default_rng(0)
    middles, halves = rng.uniform(0, 1, (2, 50, 2)), rng.uniform(0.01, 0.2, (2, 50, 2))
    boxes = np.concatenate([middles - halves, middles + halves], -1).astype(np.float32)
    scores = rng.uniform(0, 1, (2, 50, 3)).astype(np.float32)
    found = [ops.suppressed(boxes, scores, 7, 0.5, 0.3) for ops in (NumpyOps(), TensorFlowOps())]
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def answer(*boxes, most=3):
    """Return an answer with these boxes, each of sides, score and label."""
    found = {
        "boxes": np.zeros((1, most, 4), np.float32),
        "scores": np.zeros((1, most), np.float32),
        "labels": np.full((1, most), b"", object),
        "count": np.array([len(boxes)], np.int32),
    }
    for place, (sides, score, label) in enumerate(boxes):
        found["boxes"][0, place] = sides
        found["scores"][0, place], found["labels"][0, place] = score, label
    return found


def test_boxes_are_compared_as_a_set():
    ranks = {
        "boxes": ("float32", 3),
        "scores": ("float32", 2),
        "labels": ("string", 2),
        "count": ("int32", 1),
    }
    outputs = {name: Tensor(*one) for name, one in ranks.items()}
    answers = Answers(outputs, Rules(detections=(RULE,)))
    assert Answers.from_json(answers.to_json()) == answers
    one, other = ([0, 0, 0.5, 0.5], 0.8, b"cell"), ([0.5, 0.5, 1, 1], 0.8, b"cell")
    moved = ([0, 0, 0.5, 0.51], 0.8, b"cell")
    weak = ([0.2, 0.2, 0.3, 0.3], 0.31, b"cell")
    before = answer(one, other)
    assert boxes_apart(before, answer(other, one), RULE) == 0
    assert boxes_apart(before, answer(other, moved), RULE) == pytest.approx(0.01, rel=1e-4)
    assert boxes_apart(before, answer(one, other, weak), RULE) == pytest.approx(0.01, rel=1e-4)
    assert boxes_apart(before, answer(one), RULE) == pytest.approx(0.5)
    renamed = ([0.5, 0.5, 1, 1], 0.8, b"plate")
    assert boxes_apart(before, answer(one, renamed), RULE) == pytest.approx(0.5)
    near = ([0, 0, 0.5, 0.26], 0.7, b"cell")  # overlaps the first by 0.52
    assert boxes_apart(before, answer(one, other, near), RULE) == pytest.approx(0.02, abs=1e-6)
    assert boxes_apart(before, {**before, "count": np.array([1], np.int32)}, RULE) == np.inf
    assert distances(before, answer(other, moved), answers)["boxes"] == pytest.approx(
        0.01, rel=1e-4
    )
    assert compare(before, answer(other, moved), answers, {"boxes": 0.02}) is None
    assert "boxes differ from the prediction by 0.01" in compare(
        before, answer(other, moved), answers, {"boxes": 0.001}
    )
