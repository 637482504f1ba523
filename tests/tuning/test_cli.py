"""`kft tune` and `kft select`, used as a person would."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import kft
from kft.cli import main
from tests.tiny_recipe import TinyRecipe

pytestmark = pytest.mark.once

RECIPE = "tests.tiny_recipe:TinyRecipe"


def head_rates(hp):
    hp.Float("head_lr", 1e-3, 1e-1, sampling="log")


def head_and_dropout(hp):
    head_rates(hp)
    hp.Choice("dropout", [0.0, 0.1])


@pytest.fixture
def cli(monkeypatch, capsys):
    """Calls the command line in this process; gives back exit code, output and errors."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["kft", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return call


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two classes that differ in their colour, 10 images each."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for name, channel in (("blue", 2), ("red", 0)):
        (folder / name).mkdir()
        for index in range(10):
            pixels = random.integers(0, 60, (16, 16, 3), dtype="uint8")
            pixels[..., channel] += 150
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return folder


def test_a_search_of_several_processes_killed_by_the_system_goes_on(
    cli, photos, tmp_path, monkeypatch
):
    """Its worker ends by itself; the same command finds its trials, and ends with a plan."""
    stages = tmp_path / "stages.yaml"
    stages.write_text("- {unfreeze: 0, epochs: 2, learning_rate: 0.01}\n")
    command = [
        "tune", RECIPE, "--data", photos, "--run-dir", tmp_path / "search", "--trials", "3",
        "--stages", stages, "--batch-size", "4", "--space", "tests.tuning.test_cli:head_and_dropout",
    ]  # fmt: skip
    code = "import sys; from kft.cli import main; main()"
    arguments = [sys.executable, "-c", code, *map(str, command), "--workers", "1"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
        ended = tmp_path / "search" / "trials"
        while not list(ended.glob("001-*/trial.json")):
            assert running.poll() is None, running.communicate()[0].decode()
            time.sleep(0.02)
        running.kill()
    before = {path: path.stat().st_mtime_ns for path in ended.glob("*/trial.json")}
    monkeypatch.chdir(tmp_path)
    command[command.index("--run-dir") + 1] = "search"  # a short name, for the plan to fit a line
    code, out, err = cli(*command, "--refit", "refitted")
    assert code == 0, err
    assert "Trial 3 of 3: val_accuracy" in out
    assert "3 trials of TinyRecipe by val_accuracy" in out
    assert "failed" not in out
    assert sorted(path.parent.name[:3] for path in ended.glob("*/trial.json")) == [
        "001", "002", "003",
    ]  # fmt: skip
    assert all(path.stat().st_mtime_ns == at for path, at in before.items())
    plan = out.partition("Best plan: kft fit ")[2].partition("Report:")[0].split()
    dropout = float(plan[plan.index("--dropout") + 1])
    assert kft.load("refitted", recipe=TinyRecipe).dropout == dropout
    code, _, err = cli("fit", RECIPE, "--data", photos, "--run-dir", "run", "-q", *plan)
    assert code == 0, err
    assert kft.load("run", recipe=TinyRecipe).dropout == dropout


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--space", "nothing:here"), "--space 'nothing:here' is no function"),
        (("--objective", "val_f1"), "`--objective val_f1` is nothing that"),
    ],
)
def test_a_mistake_is_one_line(cli, photos, tmp_path, options, expected):
    code, _, err = cli("tune", RECIPE, "--data", photos, "--run-dir", tmp_path / "new", *options)
    assert code == 2
    assert expected in err.splitlines()[-1]
    assert not (tmp_path / "new").exists()


def test_select_ranks_recipes_with_their_arguments(cli, photos):
    spelled = f"{RECIPE},image_size=[8, 8]"
    code, out, err = cli("select", RECIPE, spelled, "--data", photos, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert {one["name"] for one in found["ranking"]} == {RECIPE, spelled}
    assert found["examples"] == 20
    scores = [one["score"] for one in found["ranking"]]
    assert scores == sorted(scores, reverse=True)


def test_select_understands_weights_none(cli, photos):
    code, out, err = cli("select", f"{RECIPE},weights=none", "--data", photos, "--json", "-q")
    assert (code, err) == (0, "")
    assert json.loads(out)["examples"] == 20


@pytest.mark.parametrize(
    ("candidates", "said"),
    [
        ((RECIPE, f"{RECIPE},weights=gone.h5"), "weights=gone.h5: `weights='gone.h5'` is no file"),
        ((RECIPE, f"{RECIPE},image_size=4"), "too small"),
        ((RECIPE, f"{RECIPE},alfa=1"), "has no argument 'alfa'"),
        (("BertRecipe,preset=./gone",), "preset=./gone: `preset='./gone'` is no folder"),
        ((RECIPE, "BertRecipe,preset=./gone"), "takes images and BertRecipe,preset=./gone takes"),
    ],
)
def test_select_refuses_any_candidate_before_it_reads_the_data(cli, candidates, said):
    """There are no data at all, which whoever read them would complain about first."""
    code, out, err = cli("select", *candidates, "--data", "nowhere")
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
