"""Exported segmentation models: encoded images in, PNG files out, through the C API."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from processes import run

import kft
from kft.answers import Answers, NumpyOps, Rules, Tensor, TensorFlowOps
from kft.export import check_version
from kft.export.comparison import compare, distances
from kft.testing.families import TinyImages, tiny_images

pytestmark = pytest.mark.once

ASK = """
import base64, json, sys
import numpy as np
from kft.export import protos
from kft.export.session import Session
protos.without_tensorflow()
rows = np.array([base64.b64decode(one) for one in json.load(sys.stdin)], dtype=object)
with Session(sys.argv[1], threads=1) as session:
    answer = session.run("serving_default", {"inputs": rows})
    features = session.run("embed", {"inputs": rows})["features"]
print(json.dumps({
    "masks": [base64.b64encode(one).decode() for one in answer["mask_png_bytes"]],
    "shares": answer["shares"].tolist(),
    "status": [one.decode() for one in answer["status"]],
    "features": list(features.shape),
}))
"""


def test_an_export_answers_with_masks_and_a_bad_row_with_none(tmp_path):
    import json

    images = tiny_images(24)
    masks = (images.mean(axis=-1) > 128).astype(int)
    recipe = TinyImages(task=kft.tasks.Segmentation(("dark", "bright")))
    recipe.fit((images, masks), 0.25, stages=[kft.Stage("all", 2, 1e-2)], verbose=0)
    version = recipe.export(tmp_path / "served")
    assert check_version(version) == []
    files = [NumpyOps().png(image[None, ..., 0])[0] for image in images[:2]]
    rows = [files[0], b"no image", files[1]]
    coded = json.dumps([base64.b64encode(one).decode() for one in rows])
    found = json.loads(run("-c", ASK, str(version), stdin=coded).stdout.splitlines()[-1])
    assert [bool(one) for one in found["status"]] == [False, True, False]
    assert found["masks"][1] == ""
    assert np.isnan(found["shares"][1]).all()
    assert found["features"] == [3, 4, 4, 4]
    expected = recipe.predict(files)
    for place, row in enumerate((0, 2)):
        mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["masks"][row]))))
        np.testing.assert_array_equal(mask, expected[place])
        assert sum(found["shares"][row]) == pytest.approx(1, abs=1e-5)


def test_both_libraries_write_the_same_pixels():
    values = np.random.default_rng(0).integers(0, 255, (3, 5, 7))
    for ops in (NumpyOps(), TensorFlowOps()):
        made = np.asarray(ops.png(values)).tolist()
        read = [np.asarray(Image.open(io.BytesIO(one))) for one in made]
        np.testing.assert_array_equal(np.stack(read), values)


def test_pictures_are_compared_by_their_pixels():
    answers = Answers({"mask": Tensor("string", 1)}, Rules(pictures=("mask",)))
    assert Answers.from_json(answers.to_json()) == answers
    assert answers.shown == ()
    one, other = np.zeros((2, 1, 10, 10), np.uint8)
    other[0, 0, 0] = 3
    small = {"mask": NumpyOps().png(one[:, :5])}
    one, other = ({"mask": NumpyOps().png(each)} for each in (one, other))
    assert distances(one, other, answers) == {"mask": 0.01}
    assert compare(one, other, answers, {"mask": 0.01}) is None
    assert "0.01 of its pixels (0.001 is allowed)" in compare(one, other, answers, {"mask": 0.001})
    assert compare(one, small, answers, {"mask": 0.5}) is not None
    assert compare(one, {"mask": np.array([b"x"], object)}, answers, {"mask": 0.5}) is not None
