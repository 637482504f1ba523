"""A full disk loses no training, and is reported with a way out."""

import contextlib
import json
import os
import resource
import shutil
import subprocess

import pytest

import kft
from kft.errors import InputError
from kft.export import launch
from kft.family import directory as run_directory
from kft.family import saving
from kft.family.directory import RunDirectory
from kft.report.markup import Section
from kft.report.page import write_page
from kft.runs import atomic, json_files
from kft.stages.stage import Stage
from tests.small_images import TinyRecipe, bright_sides

pytestmark = pytest.mark.once


def fit(run_dir, **settings):
    recipe = TinyRecipe(num_classes=2, dropout=0.3)
    data = bright_sides(16), bright_sides(8, seed=1)
    return recipe.fit(
        *data, stages=[Stage(0, 2, 1e-2)], run_dir=run_dir, batch_size=8, verbose=0,
        finish=kft.Finish(report=False), resume=kft.Resume(every=1), **settings,
    )  # fmt: skip


def full(*args, **kwargs):
    raise OSError(28, "No space left on device")


def digest(run_dir):
    return json.loads((run_dir / "recipe.json").read_text())["weights_sha256"]


def test_a_result_that_cannot_be_written_is_written_by_the_same_call(tmp_path, monkeypatch):
    fit(tmp_path / "whole")
    kept = RunDirectory.keep
    with monkeypatch.context() as patched:
        patched.setattr(
            RunDirectory,
            "keep",
            lambda self, write: patched.setattr(atomic, "sync_tree", full) or kept(self, write),
        )
        left = (
            r"No space left.*Make room there: the state is committed to .*run/state; run it again"
        )
        with pytest.raises(InputError, match=rf"trained recipe could not be written.*{left}"):
            fit(tmp_path / "run")
    run = fit(tmp_path / "run")
    assert digest(tmp_path / "run") == digest(tmp_path / "whole")
    assert len(run.history["loss"]) == 2
    assert sorted(os.listdir(tmp_path / "run")) == sorted(os.listdir(tmp_path / "whole"))


@pytest.mark.parametrize(("home", "name"), [(atomic, "sync_tree"), (json_files, "write_json")])
def test_a_disk_that_is_full_at_the_start_is_named_before_training(
    tmp_path, monkeypatch, home, name
):
    monkeypatch.setattr(home, name, full)
    with pytest.raises(InputError, match=r"run` cannot be written to .*No space.*make room there"):
        fit(tmp_path / "run")
    assert not list((tmp_path / "run").glob("state/commit-*"))


def test_a_disk_without_room_for_the_weights_is_named_before_training(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(run_directory.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(InputError, match=r"has room for 0\.0 MB, but the trained weights take"):
        fit(tmp_path / "run")
    # Some network drives report a size of 0.
    unknown = usage._replace(total=0, free=0)
    monkeypatch.setattr(run_directory.shutil, "disk_usage", lambda _: unknown)
    fit(tmp_path / "run")


def test_a_recipe_that_cannot_be_saved_names_the_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"saved` cannot be written to .*No space left"):
        TinyRecipe(num_classes=2).save(tmp_path / "saved")
    assert not list(tmp_path.iterdir())


@contextlib.contextmanager
def no_room(room=4):
    """Limit files of this process and its children to a few bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_page_and_answers_that_do_not_fit_are_named_and_leave_nothing(tmp_path):
    recipe = TinyRecipe(num_classes=2)
    answers = recipe.predict(bright_sides(4)[0])
    page = [Section("one", "One", "a section")]
    writers = {
        f"answers{ending}": answers.write for ending in (".csv", ".tsv", ".jsonl", ".parquet")
    }
    writers["report.html"] = lambda path: write_page(path, "A page", page)
    for name, write in writers.items():
        with (
            no_room(),
            pytest.raises(InputError, match=r"cannot be written .*too large.*: make room"),
        ):
            write(tmp_path / name)
        assert not list(tmp_path.iterdir())
        assert write(tmp_path / name).stat().st_size > 4
        (tmp_path / name).unlink()


def test_an_export_that_does_not_fit_is_named_and_leaves_nothing(tmp_path, monkeypatch):
    # Use a new process, since the one from which tests fork exports started before the limit.
    monkeypatch.setattr(launch, "subprocess", subprocess)
    recipe = TinyRecipe(num_classes=2)
    with (
        no_room(20_000),
        pytest.raises(InputError, match=r"serving` cannot be written to \(.*: make room"),
    ):
        recipe.export(tmp_path / "serving")
    assert not list((tmp_path / "serving").iterdir())


def search(run_dir):
    def rates(hp):
        hp.Float("head_lr", 1e-3, 1e-1, sampling="log")

    data = bright_sides(16), bright_sides(8, seed=1)
    return TinyRecipe(num_classes=2).tune(
        *data, run_dir=run_dir, max_trials=3, space=rates, stages=[Stage(0, 1, 1e-2)], batch_size=8, verbose=0
    )  # fmt: skip


def test_a_search_on_a_full_disk_stops_and_goes_on_with_the_same_trials(tmp_path, monkeypatch):
    whole = search(tmp_path / "whole")
    written, writes = saving.write, []

    def second_is_full(*args, **kwargs):
        writes.append(1)
        return full() if len(writes) > 1 else written(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(saving, "write", second_is_full)
        with pytest.raises(InputError, match=r"search stops, .*No space left.*the same call again"):
            search(tmp_path / "search")
    with monkeypatch.context() as patched:
        patched.setattr(json_files, "write_json", full)
        with pytest.raises(InputError, match="No space left"):
            search(tmp_path / "search")
    resumed = search(tmp_path / "search")
    assert [trial.score for trial in resumed.trials] == [trial.score for trial in whole.trials]


def test_a_search_whose_page_does_not_fit_is_finished(tmp_path, monkeypatch):
    monkeypatch.setattr("kft.report.page._replace", full)
    with pytest.warns(UserWarning, match=r"search is finished and kept in .*No space left"):
        found = search(tmp_path / "search")
    assert len(found.trials) == 3


def test_keras_tuners_own_files_on_a_full_disk_are_named(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("keras_tuner.src.utils.save_json", full)
        with pytest.raises(InputError, match=r"search` cannot be written to .*No space left"):
            search(tmp_path / "search")
    assert len(search(tmp_path / "search").trials) == 3


def test_a_run_goes_on_only_on_the_backend_that_began_it(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(saving, "write", full)
        with pytest.raises(InputError, match="No space left"):
            fit(tmp_path / "run")
    begun = tmp_path / "run" / "begun.json"
    begun.write_text(begun.read_text().replace('"backend": "torch"', '"backend": "jax"'))
    said = r"was begun on jax, and this is torch.*KERAS_BACKEND=jax"
    with pytest.raises(InputError, match=said):
        fit(tmp_path / "run")
