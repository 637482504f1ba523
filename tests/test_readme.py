"""README: its Python runs, its commands exist, and CI runs its test command."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import typer
from PIL import Image

from kft.cli import app
from kft.cli.project import read_project
from kft.stages.stage import read_stages

pytestmark = pytest.mark.once("tensorflow")  # the backend of an installation without extras

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = (ROOT / "docs" / "command_line.md").read_text()
SMALL = """from recipes import MobileNetRecipe
MobileNetRecipe.__init__.__kwdefaults__.update(
    alpha=0.35, image_size=(32, 32), weights="mobilenet_v2.weights.h5"
)
"""


def code_blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def reader(tmp_path):
    """Return a folder with README's photos, and small weights in place of ImageNet's."""
    random = np.random.default_rng(0)
    for name, channel in (("blue", 2), ("red", 0)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(10):
            pixels = random.integers(0, 60, (48, 64, 3), dtype="uint8")
            pixels[..., channel] += 150
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{index}.jpg")
    backbone = keras.applications.MobileNetV2(
        input_shape=(32, 32, 3), alpha=0.35, include_top=False, weights=None
    )
    backbone.save_weights(tmp_path / "mobilenet_v2.weights.h5")
    return tmp_path


def test_python_blocks_run_in_order_as_one_program(reader):
    """Run as pasted from top to bottom into a new interpreter, with a smaller model."""
    blocks = code_blocks("python")
    assert blocks
    (reader / "readme.py").write_text("\n".join([SMALL, *blocks]))
    done = subprocess.run(
        [sys.executable, "readme.py"],
        cwd=reader,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert (reader / "serving" / "photos" / "1" / "saved_model.pb").is_file()


def test_every_kft_command_exists_with_its_options():
    """The commands are only parsed, since their files do not exist here."""
    commands = typer.main.get_command(app).commands
    blocks = [*code_blocks("bash"), *code_blocks("bash", COMMANDS)]
    lines = [line.partition("#")[0] for block in blocks for line in block.splitlines()]
    typed = re.compile(r"(?:KFT_CONFIG=\S+ )?kft (?:--config \S+ )?(?!--)(.*)")
    shown = [shlex.split(match[1]) for match in map(typed.fullmatch, lines) if match]
    assert {words[0] for words in shown} == commands.keys() - {"demo"}
    for name, *words in shown:
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known


def test_the_stages_file_and_the_project_file_are_ones(tmp_path):
    for block in code_blocks("yaml", COMMANDS):
        (tmp_path / block.splitlines()[0].removeprefix("# ")).write_text(block)
    commands = typer.main.get_command(app).commands
    options = read_project(tmp_path / "kft.yaml", commands)
    assert options["fit"]["run_dir"] == "runs/photos"
    assert options["tune"]["max_trials"] == "30"
    assert [stage.label for stage in read_stages(tmp_path / "stages.yaml")] == [
        "head",
        "top 2",
        "all",
    ]


def test_ci_runs_the_readme_test_command():
    pattern = re.search(r"grep -m 1 '([^']+)' README.md", (ROOT / ".ci" / "run").read_text())
    line = next(line for line in README.splitlines() if pattern[1] in line)
    assert line in "".join(code_blocks("bash")).splitlines()
    assert ".[test]" in line


def test_every_link_to_a_file_leads_somewhere():
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []
