"""Each notebook runs from its first cell to its last, and is committed with its output."""

import re
from pathlib import Path

import keras
import nbformat
import pytest
from nbclient import NotebookClient

from tests import stand_ins

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Notebooks whose content depends on the backend; the others run on PyTorch, which does not trace.
EVERYWHERE = ("03_callbacks_alone.ipynb",)
ON_TENSORFLOW = ("06_several_devices.ipynb",)  # PyTorch has one device on a CPU
# Case studies use public data and models, to which variables point. Here they run on generated ones in
# the same format, with other values in the cell tagged "parameters".
CASES = {
    "08_add_a_class.ipynb": (
        {"KFT_CIFAR10": stand_ins.cifar10, "KFT_WEIGHTS": stand_ins.random_weights},
        "EACH, TESTED, KEPT, SIZE, EPOCHS = 8, 2, (3,), 32, 1",
    ),
    "09_skin_lesions.ipynb": (
        {"KFT_HAM10000": stand_ins.ham10000, "KFT_WEIGHTS": stand_ins.random_weights},
        "LESIONS, SIZE, EPOCHS = 60, 32, 1",
    ),
    "10_few_pictures.ipynb": (
        {"KFT_CIFAR10": stand_ins.cifar10, "KFT_WEIGHTS": stand_ins.random_weights},
        "EACH, TESTED, DRAWS, SIZE = 4, 5, 1, 32",
        ('"both": None', '"both": [kft.Stage(0, solve=True)]'),  # instead of 60 epochs
    ),
    "11_tagging.ipynb": (
        {"KFT_WNUT17": stand_ins.wnut17, "KFT_MINILM": stand_ins.tiny_bert},
        "TEXTS, HELD_OUT, LAYERS, EPOCHS = 24, 8, 1, 1",
    ),
    "12_detection.ipynb": (
        {"KFT_BCCD": stand_ins.bccd, "KFT_WEIGHTS": stand_ins.random_weights},
        "HEAD, MORE, LIMIT, SIZE = 1, 1, 4, 32",
    ),
    "13_writing.ipynb": (
        {"KFT_STORIES": stand_ins.tiny_llama, "KFT_SHAKESPEARE": stand_ins.plays},
        "CHARACTERS, SPEECHES, STORIES, LENGTH, VISITS, EPOCHS, RATE = 400, 2, 4, 8, 2, 1, 1e-3",
    ),
}
EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
EACH_WHERE_IT_SAYS_SOMETHING = pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=() if path.name in EVERYWHERE else pytest.mark.once, id=path.name)
        for path in NOTEBOOKS
    ],
)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def put_stand_in(notebook, tmp_path, monkeypatch, variables, parameters, *replaced):
    for name, make in variables.items():
        (tmp_path / name).mkdir()
        make(tmp_path / name)
        monkeypatch.setenv(name, str(tmp_path / name))
    (cell,) = [one for one in notebook.cells if "parameters" in one.metadata.get("tags", ())]
    cell.source = parameters
    for long, short in replaced:
        (cell,) = [one for one in code_cells(notebook) if long in one.source]
        cell.source = cell.source.replace(long, short)


@EACH_WHERE_IT_SAYS_SOMETHING
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    backend = keras.backend.backend() if path.name in EVERYWHERE else "torch"
    if path.name in ON_TENSORFLOW:
        backend = "tensorflow"
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))  # only this Python's kernel
    notebook = nbformat.read(path, as_version=4)
    if path.name in CASES:
        put_stand_in(notebook, tmp_path, monkeypatch, *CASES[path.name])
    where = {"metadata": {"path": str(tmp_path)}}
    settings = {"timeout": 300, "kernel_name": "python3", "resources": where}
    # Freeing everything that a notebook imported takes seconds.
    NotebookClient(notebook, shutdown_kernel="immediate", **settings).execute()
    assert all(cell.execution_count for cell in code_cells(notebook))


@pytest.mark.once
@EACH
def test_a_notebook_is_committed_with_its_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert any("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs)
    assert not re.search(r"(?<![\w.])/(tmp|home|root|work)/", path.read_text())


@pytest.mark.once
@EACH
def test_a_notebook_defines_nothing(path):
    """Logic belongs in the package, where it is tested; a notebook calls it, or writes a module."""
    cells = code_cells(nbformat.read(path, as_version=4))
    here = [cell.source for cell in cells if not cell.source.startswith("%%writefile")]
    assert not re.search(r"^\s*(def|class)\s", "\n".join(here), re.MULTILINE)
