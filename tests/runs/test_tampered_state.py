"""Tampered states of unfinished runs, with matching hashes."""

import hashlib
import json
import shutil

import keras
import numpy as np
import pytest

from kft.callbacks import RunCheckpoint, StagedUnfreezing
from kft.errors import InputError, KftError
from kft.runs.commits import read_commit, read_newest, write_commit
from kft.stages.stage import Stage

pytestmark = [
    pytest.mark.once,
    pytest.mark.filterwarnings("ignore:fit.epochs=.. ends before the stages do"),
]

X = np.linspace(-1, 1, 16, dtype="float32").reshape(8, 2)


def fit(folder, epochs):
    """Train a few steps with a callback that has a path in its attributes but not in its state."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(2, name="block")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1, name="head")(hidden))
    model.compile("adam", "mse")
    best = keras.callbacks.ModelCheckpoint(str(folder / "best.weights.h5"), save_weights_only=True)
    stop = keras.callbacks.EarlyStopping("loss", patience=5)
    stages = StagedUnfreezing([Stage("all", 3, 1e-2)], early_stopping=stop, verbose=0)
    callbacks = [stages, best, RunCheckpoint(folder / "state")]
    model.fit(
        X, X[:, :1], epochs=epochs, batch_size=4, shuffle=False, verbose=0, callbacks=callbacks
    )
    return best


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stopped")
    fit(folder, 2)
    return folder


@pytest.fixture
def folder(stopped, tmp_path):
    return shutil.copytree(stopped, tmp_path / "run")


def tamper(folder, change):
    """Change the state of each commit, and its manifest accordingly."""
    for commit in (folder / "state").glob("commit-*"):
        state = json.loads((commit / "state.json").read_text())
        change(state)
        content = json.dumps(state).encode()
        (commit / "state.json").write_bytes(content)
        manifest = json.loads((commit / "manifest.json").read_text())
        manifest["state.json"] = {
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        (commit / "manifest.json").write_text(json.dumps(manifest))


def test_a_state_sets_no_attribute_but_those_that_are_kept(folder, tmp_path):
    """Otherwise a path among them would make the next epoch overwrite any file."""
    (tmp_path / "private.weights.h5").write_text("mine")

    def change(state):
        for one in state["callbacks"].values():
            one["filepath"] = str(tmp_path / "private.weights.h5")

    tamper(folder, change)
    best = fit(folder, 3)
    assert best.filepath == str(folder / "best.weights.h5")
    assert (tmp_path / "private.weights.h5").read_text() == "mine"


def position(**values):
    return lambda state: state["position"].update(values)


CHANGES = {
    "no position": lambda state: state.pop("position"),
    "a position of another kind": lambda state: state.update(position=[1, 2]),
    "an epoch below 0": position(epoch=-1),
    "a step that no epoch has": position(step=10**12),
    "a step of another kind": position(step="1"),
    "stopped by a word": position(stopped="yes"),
    "no identity": lambda state: state.update(identity=None),
    "no callbacks": lambda state: state.update(callbacks=[]),
    "no random state": lambda state: state.update(random={}),
    "random numbers of another kind": lambda state: state["random"]["python"].update(version="a"),
    "stages that there are not": lambda s: s["callbacks"]["StagedUnfreezing"].update(entered=[9]),
    "no list of stages": lambda s: s["callbacks"]["StagedUnfreezing"].update(entered=3),
    "a callback without its values": lambda s: s["callbacks"].update(ModelCheckpoint={}),
    "another format": lambda state: state.update(format=[]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_state_that_no_fit_has_left_is_refused_by_name(folder, change):
    tamper(folder, change)
    with pytest.raises(KftError, match=r"commit-0|another run"):
        fit(folder, 3)


def test_a_commit_has_no_more_arrays_than_the_model_explains(tmp_path):
    commit = write_commit(tmp_path, {}, {"a": np.zeros(1000, "float32")}, keep=1)
    assert read_commit(commit, most=10_000).arrays["a"].shape == (1000,)
    with pytest.raises(KftError, match="bytes of arrays, but at most 1,000 are expected"):
        read_commit(commit, most=1000)
    with pytest.raises(KftError, match="No commit in"):
        read_newest(tmp_path, most=1000)


def test_a_file_without_end_is_not_read(tmp_path):
    commit = write_commit(tmp_path, {"n": 1}, {}, keep=1)
    with (commit / "state.json").open("r+b") as file:
        file.truncate(10**11)  # sparse, so it uses no disk space
    manifest = json.loads((commit / "manifest.json").read_text())
    manifest["state.json"]["bytes"] = 10**11
    (commit / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(KftError, match="at most"):
        read_commit(commit)


def test_a_state_that_would_not_be_read_back_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr("kft.runs.commits._LARGEST_JSON", 1000)
    with pytest.raises(InputError, match="let its `get_state` return NumPy arrays"):
        write_commit(tmp_path, {"seen": list(range(1000))}, {}, keep=1)


def test_a_link_out_of_the_directory_of_commits_is_not_followed(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "owner.json").symlink_to(tmp_path / "mine" / "key")
    with pytest.raises(InputError, match="is a link out of"):
        fit(tmp_path, 1)
    assert not list((tmp_path / "mine").iterdir())
