"""`kft tune` and `kft select` as users call them."""

import html
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import kft
from tests.tiny_recipe import TinyRecipe

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
RECIPE = "tests.tiny_recipe:TinyRecipe"


def head_rates(hp):
    hp.Float("head_lr", 1e-3, 1e-1, sampling="log")


def head_and_dropout(hp):
    head_rates(hp)
    hp.Choice("dropout", [0.0, 0.1])


def test_a_search_of_several_processes_killed_by_the_system_goes_on(
    cli, photos, tmp_path, monkeypatch
):
    """Its worker ends by itself; the same command finds its trials and ends with a plan."""
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
    command[command.index("--run-dir") + 1] = "search"
    code, out, err = cli(*command, "--refit", "refitted")
    assert code == 0, err
    assert "Trial 3 of 3: val_accuracy" in out
    assert re.search(
        r"3 trials of TinyRecipe by val_accuracy on \d+ validation examples$", out, re.M
    )
    assert "can hardly tell the trials apart" in out
    assert "failed" not in out
    assert sorted(path.parent.name[:3] for path in ended.glob("*/trial.json")) == [
        "001", "002", "003",
    ]  # fmt: skip
    assert all(path.stat().st_mtime_ns == at for path, at in before.items())
    best = min(ended.glob(f"{trial_of(out)}-*/run"))
    assert (
        kft.load("refitted", recipe=TinyRecipe).dropout == kft.load(best, recipe=TinyRecipe).dropout
    )


def trial_of(out):
    """Return the number of the best trial, as in folders' names."""
    return f"{int(re.search(r'best [0-9.]+ .trial ([0-9]+).$', out, re.M).group(1)):03d}"


def test_the_command_that_is_printed_trains_the_best_plan(cli, photos, tmp_path, monkeypatch):
    """It works in any directory, with all options that were given and all values of the best trial."""
    here = tmp_path / "my work"
    here.mkdir()
    (here / "my photos").symlink_to(photos)
    monkeypatch.chdir(here)
    code, out, err = cli(
        "tune", RECIPE, "--data", "my photos", "--run-dir", "a search", "--trials", "1",
        "--batch-size", "4", "--image-size", "8x12", "--hidden", "6,4", "--seed", "3", "-q",
        "--validation-split", "0.4", "--set", "label_smoothing=0.3", "--set", "precision=float32",
        "--weights", "none", "--on-bad-example", "skip", "--batch-norm", "train",
    )  # fmt: skip
    assert code == 0, err
    script = Path("a search/best.sh").read_text()
    printed = out.partition("To train the best plan:\n\n")[2].partition("\nThe same as")[0]
    assert printed in script
    assert printed in html.unescape(Path("a search/report.html").read_text())
    assert "label_smoothing=0.3" not in script, "the search has tried others"
    assert Path("a search/best.sh").stat().st_mode & 0o777 == 0o666 & ~umask()

    kft_on_path(monkeypatch, tmp_path)
    done = subprocess.run(
        ["sh", here / "a search" / "best.sh"], cwd="/", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (folder,) = Path("a search/trials").iterdir()
    plans = [
        json.loads((run / "recipe.json").read_text())["plan"]
        for run in (folder / "run", Path("a search/best"))
    ]
    for plan in plans:
        for name in ("early_stopping", "monitor"):
            plan.pop(name)
    assert plans[0] == plans[1]
    assert plans[0]["arguments"]["hidden"] == [6, 4]


def umask():
    before = os.umask(0)
    os.umask(before)
    return before


def kft_on_path(monkeypatch, folder):
    """Put the command `kft` of this checkout on the path, whatever is installed."""
    (folder / "bin").mkdir()
    command = folder / "bin" / "kft"
    command.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c 'from kft.cli import main; main()' \"$@\"\n"
    )
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--objective", "val_f1"), "`--objective val_f1` is not a validation figure of"),
        (("--data", "nowhere", "--space", "nothing:here"), "'nothing:here' is not a function"),
        (("--data", "nowhere", "--stages", "gone.yaml"), "Cannot read the stages file"),
        (("--data", "nowhere", "--minutes", "0"), "pass a finite number above 0"),
        (("--data", "nowhere", "--refit", __file__), "not a directory; pass"),
        (("--folds", "3", "--validation-split", "0.3"), "leave out `--validation-"),
        (("--folds", "3", "--prune", "median"), "with `--folds` a trial"),
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


def test_select_takes_the_words_of_the_other_commands(cli, photos):
    """They apply to all recipes, each of which can override them."""
    own = f"{RECIPE},image-size=12x8,pooling=flatten"
    code, out, err = cli(
        "select", RECIPE, own, "--data", photos, "--json", "-q", "--weights", "none",
        "--image-size", "8", "--pooling", "max", "--set", "seed=3", "--precision", "float32",
    )  # fmt: skip
    assert (code, err) == (0, "")
    features = {one["name"]: one["features"] for one in json.loads(out)["ranking"]}
    assert features == {RECIPE: 8, own: 3 * 2 * 8}


def test_select_understands_weights_none(cli, photos):
    code, out, err = cli("select", f"{RECIPE},weights=none", "--data", photos, "--json", "-q")
    assert (code, err) == (0, "")
    assert json.loads(out)["examples"] == 20


@pytest.mark.parametrize(
    ("candidates", "said"),
    [
        (
            (RECIPE, f"{RECIPE},weights=gone.h5"),
            "weights=gone.h5: `--weights gone.h5` is not a file",
        ),
        ((RECIPE, "--weights", "gone.h5"), f"{RECIPE}: `--weights gone.h5` is not a file"),
        (("MobileNetRecipe,alpha=0",), "`--set alpha=0` is not a width"),
        (
            ("MobileNetRecipe,alpha=0.5", "--set", "alfa=1"),
            "MobileNetRecipe has no argument 'alfa'",
        ),
        (("VGG16Recipe", "MobileNetRecipe,model=Big"), "model=Big: `--model Big` is not an arch"),
        ((RECIPE, f"{RECIPE},pooling=avg,pooling=max"), "'pooling' is given twice"),
        ((RECIPE, f"{RECIPE},image_size=4"), "too small"),
        ((RECIPE, f"{RECIPE},alfa=1"), "has no argument 'alfa'"),
        (("BertRecipe,preset=./gone",), "preset=./gone: `--model ./gone` is not a folder"),
        ((RECIPE, "BertRecipe,preset=./gone"), "takes images and BertRecipe,preset=./gone takes"),
    ],
)
def test_select_refuses_any_candidate_before_it_reads_the_data(cli, candidates, said):
    """The data do not exist, so that reading them would raise another error first."""
    code, out, err = cli("select", *candidates, "--data", "nowhere")
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_a_search_with_folds_is_refitted_on_all_data(cli, photos, tmp_path):
    command = [
        "tune", RECIPE, "--data", photos, "--run-dir", tmp_path / "search", "--trials", "1", "--folds", "2",
        "--batch-size", "8", "--weights", "none", "--refit", tmp_path / "all",
    ]  # fmt: skip
    code, out, err = cli(*command)
    assert code == 0, err
    assert re.search(r"val_accuracy [0-9.]+ ± [0-9.]+", out)
    assert "--folds" not in (tmp_path / "search" / "best.sh").read_text(), "a fit has none"
    assert kft.load(tmp_path / "all", recipe=TinyRecipe).is_fitted

    code, out, err = cli(*command, "--json")
    assert code == 0, err
    found = json.loads(out)
    (trial,) = found["trials"]
    assert (found["best"], found["objective"], trial["reason"]) == (1, "val_accuracy", None)
    assert trial["standard_error"] >= 0
    assert found["command"] in (tmp_path / "search" / "best.sh").read_text()
    assert [kft.Stage(**stage) for stage in found["stages"]]
