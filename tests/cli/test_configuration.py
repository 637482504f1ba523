"""`kft config` shows what a command gets, and where each value is from."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from kft.cli import app, environment
from kft.cli.project import CODE, options_of

pytestmark = pytest.mark.once

COMMANDS = typer.main.get_command(app).commands
KFT = Path(environment.__file__).parents[1]
FOR_CHILDREN = {"KFT_PROCESSES_STORE", "KFT_TUNE_LAUNCHED"}  # which kft sets for its own processes
CONFIG = """
recipe: MobileNetRecipe
image-size: 96
set: {alpha: 0.35}
calibrate: false
fit:
  run-dir: runs/photos
  seed: 3
evaluate: {data: test}
"""


@pytest.fixture
def shown(tmp_path, monkeypatch, cli):
    """Return a function that runs `kft config --json` in a new directory, and returns what it prints."""
    for name in environment.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kft.yaml").write_text(CONFIG)

    def run(*words, before=("--config", "kft.yaml")):
        code, out, err = cli(*before, "config", *words, "--json")
        assert code == 0, err
        return json.loads(out)

    return run


def test_options_of_a_command_have_their_values_and_sources(shown):
    found = shown("fit")
    fit = found["options"]["fit"]
    assert found["file"] == {"value": "kft.yaml", "source": "--config"}
    assert found["options"].keys() == {"fit"}
    assert {name: one["value"] for name, one in fit.items() if one["source"] == "file"} == {
        "recipe": "MobileNetRecipe",
        "image-size": "96",
        "set": ["alpha=0.35"],
        "calibrate": False,
        "run-dir": "runs/photos",
        "seed": 3,
    }
    assert fit["processes"] == {"value": 1, "source": "default"}
    assert fit["batch-size"] == {"value": None, "source": "default"}, "the recipe decides"
    assert fit["data"] == {"value": None, "source": "default"}, "required"


def test_without_a_command_all_that_the_file_sets_is_shown(shown):
    options = shown()["options"]
    assert options["fit"]["seed"] == {"value": 3, "source": "file"}
    assert options["evaluate"] == {"data": {"value": "test", "source": "file"}}
    assert "image-size" in options["tune"]
    assert "seed" not in options["tune"]
    assert "serve" not in options
    assert shown(before=())["options"] == {}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_every_command_is_shown(shown, command):
    assert shown(command)["options"][command].keys() == options_of(COMMANDS[command]).keys()


def test_the_environment_may_name_the_file_and_the_backend(shown, monkeypatch, tmp_path):
    assert shown()["backend"] == {"value": "tensorflow", "source": "default"}
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    assert shown()["backend"] == {"value": "jax", "source": str(tmp_path / "keras.json")}
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setenv("KFT_CONFIG", "kft.yaml")
    found = shown(before=())
    assert found["backend"] == {"value": "torch", "source": "KERAS_BACKEND"}
    assert found["file"] == {"value": "kft.yaml", "source": "KFT_CONFIG"}
    assert found["environment"]["KFT_CONFIG"] == "kft.yaml"


def test_what_kft_sets_itself_and_a_secret_are_not_shown(shown, monkeypatch):
    monkeypatch.setenv("KFT_TUNE_SECRET", "open sesame")
    found = shown()["environment"]
    assert found["TF_CPP_MIN_LOG_LEVEL"] is None
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3", "which kft has set"
    assert found["KFT_TUNE_SECRET"] == "(hidden)"


def test_only_the_variables_that_concern_the_command_are_shown(shown, cli):
    assert set(shown("deploy")["environment"]) == {"KFT_CONFIG", "NO_COLOR"}
    assert "KERAS_BACKEND" in shown("evaluate")["environment"]
    assert "WORLD_SIZE" not in shown("evaluate")["environment"]
    assert "KERASTUNER_TUNER_ID" not in shown("fit")["environment"]
    assert set(shown("tune")["environment"]) == set(environment.VARIABLES)
    assert set(shown()["environment"]) == set(environment.VARIABLES)
    printed = cli("config", "deploy")[1]
    assert "NO_COLOR" in printed
    assert "backend" not in printed.lower()
    assert "KERASTUNER" not in printed


@pytest.mark.parametrize("command", COMMANDS)
def test_modules_are_named_by_the_commands_that_python_path_concerns(command):
    names_code = bool(set(CODE) & set(options_of(COMMANDS[command])))
    assert ("PYTHONPATH" in environment.variables_of(command)) == names_code


def test_a_backend_that_keras_lacks_matters_only_where_keras_is_imported(shown, cli, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "pytorch")
    assert set(environment.WITHOUT_KERAS) < set(COMMANDS)
    assert cli("config", "fit")[0] == 0
    assert cli("plan", "ResNetRecipe")[0] == 2


def test_the_table_has_values_sources_and_defaults_in_words(shown, cli):
    code, out, err = cli("--config", "kft.yaml", "config", "fit")
    assert code == 0, err
    rows = [" ".join(line.split()) for line in out.splitlines()]
    assert "seed 3 kft.yaml" in rows
    assert "data required default" in rows
    assert "validation-split 0.2 default" in rows
    assert "calibrate false kft.yaml" in rows
    assert any(row.startswith("KFT_CONFIG not set the project file") for row in rows)
    rows = [
        " ".join(line.split()) for line in cli("--config", "kft.yaml", "config")[1].splitlines()
    ]
    assert "recipe MobileNetRecipe fit, tune, plan, find-lr, cross-validate kft.yaml" in rows


@pytest.mark.parametrize(
    ("config", "words", "said"),
    [
        ("seed: many", ["fit"], "--seed': .*'many'.*in kft.yaml"),
        ("seed: many", [], "--seed': .*'many'.*in kft.yaml"),
        ("", ["fitt"], "no command 'fitt' .did you mean fit"),
    ],
)
def test_a_mistake_is_one_line(shown, cli, tmp_path, config, words, said):
    (tmp_path / "kft.yaml").write_text(config)
    code, out, err = cli("--config", "kft.yaml", "config", *words)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    with pytest.raises(ValueError, match=said):
        raise ValueError(line)


def environment_reads(trees):
    """Yield the names with which code reads the environment, as literals or constants."""
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Subscript):
                place, names = node.value, [node.slice]
            elif isinstance(node, ast.Compare):
                place, names = node.comparators[0], [node.left]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                place, names = node.func.value, node.args[:1]
            elif isinstance(node, ast.Call):
                place, names = node.func, node.args[:1]
            else:
                continue
            if ast.unparse(place) in ("os.environ", "environment", "named_threads", "os.getenv"):
                yield from names


def test_every_variable_that_kft_reads_is_shown_and_no_other():
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in KFT.rglob("*.py")]
    constants = {
        target.id: node.value.value
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    read = set()
    for name in environment_reads(trees):
        if isinstance(name, ast.Constant):
            read.add(name.value)
        elif isinstance(name, ast.Name) and name.id.isupper():
            read.add(constants[name.id])
    assert {"KERAS_BACKEND", "NPROC", "KFT_TUNE_SECRET", "WORLD_SIZE"} <= read, "they are found"
    through_others = {
        "KFT_CONFIG",
        "KERASTUNER_TUNER_ID",
        "KERASTUNER_ORACLE_IP",
        "KERASTUNER_ORACLE_PORT",
    }
    assert read - FOR_CHILDREN == set(environment.VARIABLES) - through_others


def test_no_framework_is_imported():
    code = (
        "import sys; from kft.cli import main\n"
        "sys.argv = ['kft', 'config', 'fit']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('tensorflow', 'keras', 'torch', 'jax') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
