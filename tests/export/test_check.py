"""Versions that must fail the check, and the reasons."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from processes import run

from kft.answers import Answers, Rules, Tensor
from kft.export import check_version, versions, warmup

pytestmark = pytest.mark.once


@pytest.fixture
def copy(made, tmp_path):
    def take(name: str) -> Path:
        return Path(shutil.copytree(made(name), tmp_path / name / "1"))

    return take


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path, share: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(len(content) * share)] ^= 0xFF
    path.write_bytes(content)


DAMAGE = {
    "missing index": (
        lambda d: (d / "variables/variables.index").unlink(),
        "variables.index is missing",
    ),
    "truncated data": (
        lambda d: halve(d / "variables/variables.data-00000-of-00001"),
        "bytes instead of",
    ),
    "flipped data": (
        lambda d: flip(d / "variables/variables.data-00000-of-00001"),
        "SHA-256 differs",
    ),
    "flipped graph": (lambda d: flip(d / "saved_model.pb"), "SHA-256 differs"),
    "no graph": (lambda d: (d / "saved_model.pb").unlink(), "saved_model.pb is missing"),
    "no variables": (lambda d: shutil.rmtree(d / "variables"), "is missing"),
    "no metadata": (lambda d: (d / "assets.extra/kft.json").unlink(), "kft.json is missing"),
    "no warmup": (lambda d: (d / warmup.PATH).unlink(), "tf_serving_warmup_requests is missing"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_version_fails_with_a_reason(copy, damage):
    version = copy("text")
    harm, reason = DAMAGE[damage]
    harm(version)
    assert reason in " ".join(check_version(version))


DEEPER = {
    "missing index": (lambda d: (d / "variables/variables.index").unlink(), "fails at"),
    "truncated data": (
        lambda d: halve(d / "variables/variables.data-00000-of-00001"),
        "cannot load it",
    ),
    "flipped weight": (lambda d: flip(d / "variables/variables.data-00000-of-00001"), ""),
    "half a graph": (lambda d: halve(d / "saved_model.pb"), "saved_model.pb cannot be read"),
    "half a warmup": (lambda d: halve(d / warmup.PATH), "is truncated or its checksum"),
    "flipped warmup": (lambda d: flip(d / warmup.PATH), "is truncated or its checksum"),
    "empty warmup": (lambda d: (d / warmup.PATH).write_bytes(b""), "holds no request"),
    "bad metadata": (
        lambda d: (d / "assets.extra/kft.json").write_text("[]"),
        "kft.json cannot be read",
    ),
}


@pytest.mark.parametrize("damage", DEEPER)
def test_damage_is_found_without_the_manifest_too(copy, damage):
    version = copy("image")
    harm, reason = DEEPER[damage]
    harm(version)
    versions.write_manifest(version)
    reasons = check_version(version)
    assert reasons
    assert reason in " ".join(reasons)


def without_vocabulary(version: Path) -> None:
    """Blank the vocabulary, which is a constant in the graph and not a file."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    (vocabulary,) = (
        node.attr["value"].tensor
        for node in saved.meta_graphs[0].graph_def.node
        if node.op == "Const" and b"film" in node.attr["value"].tensor.tensor_content
    )
    vocabulary.tensor_content = bytes(len(vocabulary.tensor_content))
    (version / "saved_model.pb").write_bytes(saved.SerializeToString())
    versions.write_manifest(version)


def test_a_missing_vocabulary_fails_with_a_reason(copy):
    version = copy("text")
    without_vocabulary(version)
    assert "at 'serving_default': scores differs from the prediction" in " ".join(
        check_version(version)
    )


def change_log(version: Path, change) -> None:
    logs = list(warmup.read(version))
    change(logs)
    warmup.write(version, logs)
    versions.write_manifest(version)


def expected_of(log) -> dict:
    return log.predict_log.response.outputs


def set_label(logs) -> None:
    expected_of(logs[0])["label"].string_val[0] = b"nothing"


def move_scores(logs) -> None:
    scores = warmup.from_proto(expected_of(logs[0])["scores"]) + np.float32(2e-5)
    expected_of(logs[0])["scores"].CopyFrom(warmup.to_proto(scores))


def name_unknown_signature(logs) -> None:
    logs[0].predict_log.request.model_spec.signature_name = "other"


def send_no_image(logs) -> None:
    logs[0].predict_log.request.inputs["inputs"].string_val[0] = b"no image"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_label, "label is"),
        (move_scores, "scores differs from the prediction by 2e-05 ("),
        (name_unknown_signature, "no signature 'other'"),
        (send_no_image, "status is b'not a JPEG, PNG, GIF, BMP or WebP image' where the"),
        (lambda logs: logs.extend(logs * 100), "more than 1000 warmup records"),
    ],
)
def test_a_record_that_does_not_replay_fails(copy, change, reason, monkeypatch):
    monkeypatch.setattr(warmup, "MAX_RECORDS", 10_000)
    version = copy("image")
    change_log(version, change)
    assert reason in " ".join(check_version(version))


def change_facts(version: Path, **changes) -> None:
    path = version / "assets.extra" / "kft.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    versions.write_manifest(version)


A_VALUE = Answers({"value": Tensor("float32", 1)}, Rules(regress="value")).to_json()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": 1}, "kft.json cannot be read: ValueError('format 1, but this kft reads"),
        ({"tolerance": {"scores": float("nan")}}, "but numbers from 0 are expected"),
        ({"tolerance": {"scores": 0.9}}, "a tolerance of 0.9 for scores proves nothing"),
        ({"tensors": None}, "signature 'tensors' was not promised"),
        ({"answers": A_VALUE}, "signature 'regress' is missing"),
        ({"answers": A_VALUE}, "signature 'classify' was not promised"),
        (
            {"answers": A_VALUE},
            "has the outputs ['classes', 'label', 'scores', 'status'], not ['status', 'value']",
        ),
    ],
)
def test_signatures_must_be_those_that_are_promised(copy, changes, reason):
    version = copy("image")
    change_facts(version, **changes)
    assert reason in " ".join(check_version(version))


CONTROL = """
import sys, keras
keras.utils.set_random_seed(0)
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
model.export(sys.argv[1], verbose=False)
"""


def test_a_plain_keras_export_from_jax_fails(tmp_path):
    pytest.importorskip("jax")
    run("-c", CONTROL, str(tmp_path / "1"), backend="jax")
    reasons = " ".join(check_version(tmp_path / "1"))
    assert "XlaCallModule needs XLA" in reasons
    assert "not written by kft" in reasons


def test_a_folder_that_is_none_fails(tmp_path):
    assert "is not a directory" in check_version(tmp_path / "nothing")[0]


def test_the_checksum_is_that_of_the_tfrecord_format():
    crc = 0xE3069283  # the published CRC-32C of these digits
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert warmup._masked_crc(b"123456789") == masked.to_bytes(4, "little")


def test_tensorflow_reads_the_records_that_are_written(made):
    import tensorflow as tf

    records = list(tf.data.TFRecordDataset(str(made("image") / warmup.PATH)))
    assert [record.numpy() for record in records] == [
        log.SerializeToString(deterministic=True) for log in warmup.read(made("image"))
    ]


def test_the_runtime_is_found_where_tensorflow_was_imported_before():
    """A process that has imported TensorFlow, such as a notebook, can also query a version."""
    code = "import tensorflow; from kft.export import capi; print(len(capi.Runtime.get().core_ops))"
    assert int(run("-c", code).stdout) > 1000
