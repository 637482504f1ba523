"""House rules that a machine can hold: imports point one way, names are listed, imports are cheap."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import kft

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent
MODULES = sorted(path for folder in ("kft", "recipes") for path in (ROOT / folder).rglob("*.py"))

# Each line may import from itself and from the lines above it.
LAYERS = (
    ("errors",),
    (
        "answers",
        "arguments",
        "blocks",
        "data",
        "flags",
        "folding",
        "forward",
        "fused_adam",
        "graph",
        "hugging_face",
        "import_path",
        "launch",
        "outlines",
        "plain_yaml",
        "plots",
        "pooling",
        "precision",
        "pretrained",
        "printing",
        "progress",
        "replicas",
        "regular_files",
        "report",
        "row_files",
        "schedules",
        "tasks",
        "terminal",
    ),
    ("distribution", "optimizers", "plans", "runs", "stages", "steadiness"),
    (
        "callbacks",
        "compilation",
        "costs",
        "cuts",
        "feature_files",
        "features",
        "journal",
        "memory",
        "plain_fit",
        "regrouping",
        "savings",
        "staged_fit",
        "tables",
    ),
    (
        "family",
        "fit_settings",
        "fitting",
        "head_inputs",
        "image_recipe",
        "kept_weights",
        "known_recipes",
        "planned_fit",
        "presets",
        "predicting",
        "recipe",
        "reopening",
        "run_directory",
        "saving",
        "text_recipe",
    ),
    ("explain", "export", "forgetting", "range_test", "robustness", "tuning"),
    ("testing",),
    ("__main__", "cli", "demo"),
)
LAYER = {part: index for index, parts in enumerate(LAYERS) for part in parts}
# A recipe's methods hand the recipe on to these; they import it, so it imports them inside the method.
HANDED_ON = {
    ("recipe", "export"),
    ("recipe", "robustness"),
    ("recipe", "tuning"),
}


def imported_modules(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively: write the full name"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    folder, part = (*path.relative_to(ROOT).with_suffix("").parts, "__init__")[:2]
    for name in imported_modules(path):
        package, _, rest = name.partition(".")
        target = rest.partition(".")[0]
        if folder == "kft":
            assert package != "recipes", "kft knows no architecture: it never imports recipes"
        if package != "kft" or folder == "recipes" or part == "__init__" or not target.strip("_"):
            continue
        assert {part, target} <= LAYER.keys(), f"place {part} and {target} in LAYERS"
        points_down = LAYER[target] <= LAYER[part] or (part, target) in HANDED_ON
        assert points_down, f"{part} must not import {target}"


def test_files_of_others_are_opened_in_one_place():
    """What may be a pipe is opened without waiting: by the reader, and where a file is made."""
    users = [path.name for path in MODULES if "O_NONBLOCK" in path.read_text()]
    assert users == ["regular_files.py", "row_files.py", "locks.py"]


@pytest.mark.parametrize(
    "package",
    ["kft", "kft.callbacks", "kft.cli", "kft.explain", "kft.export", "kft.tuning", "recipes"],
)
def test_public_names_are_listed_sorted_and_there(package):
    module = importlib.import_module(package)
    assert list(module.__all__) == sorted(module.__all__)
    assert all(getattr(module, name) is not None for name in module.__all__)


def test_every_public_name_of_kft_is_in_all():
    assert sorted(kft._HOMES) == sorted(kft.__all__)
    assert set(kft.__all__) <= set(dir(kft))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(AttributeError, match=r"no attribute 'Stages'; it has .*KftError"):
        kft.Stages  # noqa: B018


@pytest.mark.parametrize("module", ["kft", "kft.cli"])
def test_importing_brings_no_framework(module):
    code = (
        f"import sys, {module}; "
        "print([m for m in ('tensorflow', 'keras', 'torch', 'jax') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert done.stdout.strip() == "[]"
