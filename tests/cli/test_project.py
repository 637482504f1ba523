"""A project file sets options as if they were typed, and cannot do more than that."""

import pytest
import typer
import yaml

from kft.cli import app
from kft.cli.project import TRAINING, options_of, read_project

pytestmark = pytest.mark.once

COMMANDS = typer.main.get_command(app).commands
PLAN = ["--model", "MobileNet", "--weights", "none", "--image-size", "32"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def parsed(here, cli, monkeypatch):
    """Return a function that runs a command up to its function, and returns the parameters."""

    def parse(*arguments, config=""):
        found = {}

        def invoke(self, context):
            found.update(context.params)
            return 0

        monkeypatch.setattr("kft.cli._Command.invoke", invoke)
        (here / "kft.yaml").write_text(config)
        code, _, err = cli("--config", "kft.yaml", *arguments)
        assert code == 0, err
        return found

    return parse


OPTIONS = """
data: photos
image-size: 96
dropout: 0.1
hidden: [256, 64]
label-column: [red, round]
set: {alpha: 0.35, names: [a, b], 'off': null}
calibrate: false
weights: none
fit:
  run-dir: runs/1
  cached-views: 2
  fresh: true
  batch-size: 1e1
"""
TYPED = [
    *("ResNetRecipe", "--data", "photos", "--image-size", "96", "--dropout", "0.1", "--hidden", "256,64"),
    *("--label-column", "red", "--label-column", "round", "--set", "alpha=0.35", "--set", "names=[a, b]"),
    *("--set", "off=null", "--no-calibrate", "--weights", "none", "--run-dir", "runs/1", "--fresh"),
    *("--cached-views", "2", "--batch-size", "10"),
]  # fmt: skip


def test_options_of_a_file_are_those_that_are_typed(parsed):
    config = OPTIONS.replace("1e1", "10")
    assert parsed("fit", "ResNetRecipe", config=config) == parsed("fit", *TYPED)
    assert parsed("fit", config=f"recipe: ResNetRecipe\n{config}") == parsed("fit", *TYPED)


def test_what_is_typed_takes_precedence_over_the_section_and_that_over_all(parsed):
    config = "recipe: A\ndata: d\nseed: 1\nfit: {run-dir: r, seed: 2}\ntune: {run-dir: s}"
    assert parsed("tune", config=config)["seed"] == 1
    assert parsed("fit", config=config)["seed"] == 2
    assert parsed("fit", "--seed", "3", config=config)["seed"] == 3


def test_data_to_train_on_are_not_evaluated_on(parsed, here, cli):
    config = "data: photos\nrecipe: ResNetRecipe\nbatch-size: 7"
    assert parsed("report", "runs/1", config=config)["data"] is None
    assert parsed("report", "runs/1", config=f"{config}\nreport: {{data: test}}")["data"] == "test"
    code, _, err = cli("--config", here / "kft.yaml", "evaluate", "runs/1")
    assert code == 2
    assert "--data" in err


def test_the_file_may_be_named_in_the_environment(here, cli, monkeypatch):
    (here / "kft.yaml").write_text("recipe: MobileNetRecipe\nnum-classes: 5\nset: {alpha: 0.25}\n")
    monkeypatch.setenv("KFT_CONFIG", "kft.yaml")
    code, out, err = cli("plan", *PLAN)
    assert code == 0, err
    assert "MobileNetRecipe" in out
    monkeypatch.delenv("KFT_CONFIG")
    assert cli("plan", *PLAN)[0] == 2, "no file is read without being named"


def test_init_writes_a_file_with_every_option(here, cli):
    code, out, err = cli("init")
    assert code == 0, err
    assert "kft --config kft.yaml fit" in out
    text = (here / "kft.yaml").read_text()
    read = read_project(here / "kft.yaml", COMMANDS)
    assert read["fit"] == {
        "recipe": "MobileNetRecipe", "data": "photos", "model": "MobileNetV2", "run_dir": "runs/photos",
    }  # fmt: skip
    assert read["tune"]["run_dir"] == "runs/search"
    offered = {line.strip().lstrip("#").partition(":")[0] for line in text.splitlines()}
    for name in ("fit", "tune"):
        missing = set(options_of(COMMANDS[name])) - offered - {"space"}
        assert not missing, f"{name} has options that init does not write"
    assert max(map(len, text.splitlines())) <= 110
    code, _, err = cli("--config", "kft.yaml", "plan", "--weights", "none", "--image-size", "32")
    assert code == 0, err

    before = text
    code, _, err = cli("init", "kft.yaml")
    assert code == 2
    assert "exists" in err
    assert (here / "kft.yaml").read_text() == before


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("dropuot: 0.1", "sets `dropuot`, which is not an option of fit, tune.*did you mean dropout"),
        ("fitt: {trials: 3}", "has the section `fitt`, which is not a command.*did you mean fit"),
        ("fit: {trails: 3}", "sets `trails`, which is not an option of `kft fit`"),
        ("tune: {trails: 3}", "did you mean trials"),
        ("fit: {image_size: 3}", "did you mean image-size"),
        ("run-dir: runs/1", "each needs its own: write it below `fit` or `tune`"),
        ("fit: 3", "`fit` is 3, but it is a command"),
        ("- a", "options with their values are expected"),
        ("data: {a: b}", "`data` is a mapping"),
        ("recipe: evil:Recipe", "names code to import, which a file must not"),
        ("tune: {space: evil:space}", "names code to import"),
        ("evaluate: {recipe: 'evil:Recipe'}", "names code to import"),
        ("evaluate: {task: [single_label, 'evil:Task']}", "names code to import"),
        ("select: {recipes: ['A', 'evil:B,alpha=1']}", "names code to import"),
        ("fit: {seed: many}", r"--seed.*'many'.*in kft.yaml"),
        ("fit: {cache: maybe}", r"'maybe' is not one of[^:]* \(in kft.yaml\)"),
        ("seed: [1, 2]", r"--seed.*'1,2'.*in kft.yaml"),
        ("a: &a [*a]", "anchors and aliases"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_in_one_line(here, cli, config, message):
    (here / "kft.yaml").write_text(config)
    (here / "evil.py").write_text("raise SystemExit('imported')")
    command = ["fit", "ResNetRecipe", "--data", "photos"]
    if not config.startswith("run-dir"):
        command += ["--run-dir", "runs/1"]
    code, _, err = cli("--config", "kft.yaml", *command)
    assert code == 2
    (line,) = err.splitlines()
    with pytest.raises(ValueError, match=message):
        raise ValueError(line)


def test_config_after_the_command_is_explained(here, cli):
    code, _, err = cli("fit", "--config", "kft.yaml")
    assert code == 2
    assert "kft --config FILE fit" in err


def test_the_options_of_the_commands_that_train_agree():
    """One value in a file serves all of them."""
    forms = {}
    for command in TRAINING:
        for name, option in options_of(COMMANDS[command]).items():
            if name not in ("refit", "run-dir"):
                form = getattr(option, "multiple", None), getattr(option, "is_flag", None)
                assert forms.setdefault(name, form) == form, f"--{name} of {command}"


def test_the_file_is_plain_yaml_of_bounded_size(here, cli):
    (here / "kft.yaml").write_text(yaml.safe_dump({"set": ["a=1"] * 100_000}))
    code, _, err = cli("--config", "kft.yaml", "plan", "ResNetRecipe")
    assert code == 2
    assert "bytes" in err
