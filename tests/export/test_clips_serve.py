"""Exported models of clips: encoded frames in, one row per clip, through the C API."""

import base64
import json

import numpy as np
import pytest
from processes import run

import kft
from kft.export import check_version, clients
from kft.export.promises import read_facts
from tests.clips.making import TinyClips, moving_squares, write_video
from tests.small_images import encoded

pytestmark = pytest.mark.once

ASK = """
import base64, json, sys
import numpy as np
from kft.export import protos
from kft.export.session import Session
protos.without_tensorflow()
rows = [[base64.b64decode(one) for one in row] for row in json.load(sys.stdin)]
with Session(sys.argv[1], threads=1) as session:
    answer = session.run("serving_default", {"inputs": np.array(rows, dtype=object)})
    features = session.run("embed", {"inputs": np.array(rows, dtype=object)})["features"]
print(json.dumps({
    "scores": answer["scores"].tolist(),
    "status": [one.decode() for one in answer["status"]],
    "features": list(features.shape),
}))
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Return a recipe with a recurrent layer over time, and its export."""
    recipe = TinyClips(num_classes=2, time="gru")
    recipe.fit(moving_squares(16), 0.25, stages=[kft.Stage("all", 1, 1e-2)], verbose=0)
    return recipe, recipe.export(tmp_path_factory.mktemp("clips") / "served")


def test_a_clip_with_a_bad_frame_is_a_bad_row_and_spoils_no_other(served):
    recipe, version = served
    assert check_version(version) == []
    clips, _ = moving_squares(3, frames=3, seed=1)
    rows = [tuple(encoded(clip)) for clip in clips]
    rows[1] = (rows[1][0], rows[1][1], b"no image")
    coded = json.dumps([[base64.b64encode(one).decode() for one in row] for row in rows])
    found = json.loads(run("-c", ASK, str(version), stdin=coded).stdout.splitlines()[-1])
    assert found["status"] == ["", "frame 2: not a JPEG, PNG, GIF, BMP or WebP image", ""]
    assert np.isnan(found["scores"][1]).all()
    assert found["features"] == [3, 128]
    expected = recipe.predict([rows[0], rows[2]]).scores
    expected = np.sort(expected, axis=1)[:, ::-1]
    assert np.allclose([found["scores"][0], found["scores"][2]], expected, atol=1e-5)


def test_its_description_says_how_many_frames_a_clip_has(served):
    facts = read_facts(served[1])
    assert (facts["modality"], facts["inputs"], facts["shape"]) == ("clip", ["inputs"], [3])
    assert facts["tensors"] == 5


def test_clients_take_the_frames_that_predict_takes(served, tmp_path):
    made = clients.files(served[1])
    begins = made["tensorflow_client.py"].partition("parser = ")[0]
    begins = begins.replace("import tensorflow as tf", "")
    path = write_video(tmp_path / "clip.mp4", moving_squares(1, frames=7, size=32)[0][0])
    program = f"{begins}\nprint([len(one) for one in frames(sys.argv[1])])\n"
    program += "import io, numpy, PIL.Image\n"
    program += "print([int(numpy.asarray(PIL.Image.open(io.BytesIO(one))).sum()) for one in frames(sys.argv[1])])"
    sizes, sums = run("-c", program, path).stdout.splitlines()[-2:]
    from kft.data.clips.reading import sampled

    assert len(json.loads(sizes)) == 3
    assert json.loads(sums) == [int(frame.sum()) for frame in sampled(path, 3, 10_000)]
    for name in ("rest_client.py", "grpc_client.py", "tensorflow_client.py"):
        compile(made[name], name, "exec")
        assert "frames(path)" in made[name]


def test_the_client_in_tensorflow_prints_an_answer(served, tmp_path):
    recipe, version = served
    path = write_video(tmp_path / "clip.mp4", moving_squares(1, frames=7, size=32)[0][0])
    script = tmp_path / "client.py"
    script.write_text(clients.files(version)["tensorflow_client.py"])
    printed = run(str(script), path).stdout.splitlines()[-1]
    assert printed.strip("b'\"") == recipe.predict(path).labels[0]
