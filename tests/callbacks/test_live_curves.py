"""Live curves in a notebook: one image that is updated, with the stages marked; elsewhere none."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import kft
from kft.errors import InputError
from kft.report.terminal import in_notebook

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent.parent
SETUP = """
import keras, numpy as np, kft
from IPython import display as shown

pictures = []
update = shown.DisplayHandle.update
shown.DisplayHandle.update = lambda self, figure: (pictures.append(figure), update(self, figure))
inputs = keras.Input((4,))
hidden = keras.layers.Dense(4, name="body")(inputs)
model = keras.Model(inputs, keras.layers.Dense(1, name="head")(hidden))
model.compile("adam", "mse")
x = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
stages = [kft.Stage(0, epochs=2, learning_rate=1e-2), kft.Stage("all", 3, 1e-3)]
"""
FIT = """
curves = kft.callbacks.LiveCurves(every=2)
unfreezing = kft.callbacks.StagedUnfreezing(stages, verbose=0)
model.fit(x, x[:, :1], epochs=5, verbose=0, callbacks=[unfreezing, curves]);
"""
LOOK = """
axes = pictures[-1].axes[0]
print(len(pictures), [text.get_text() for text in axes.texts], len(axes.get_lines()[0].get_xdata()))
"""


def test_a_notebook_shows_one_picture_that_ends_with_every_epoch(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))  # only this Python's kernel
    cells = [nbformat.v4.new_code_cell(source) for source in (SETUP, FIT, LOOK)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=where).execute()
    shown = [one for one in cells[1].outputs if "image/png" in one.get("data", {})]
    assert len(shown) == 1
    # The first image is drawn after two epochs, then one after four and one at the end.
    assert cells[2].outputs[0].text.strip() == "2 ['stage 1', 'stage 2'] 5"


def test_nothing_is_drawn_outside_of_a_notebook(monkeypatch):
    assert not in_notebook()
    curves = kft.callbacks.LiveCurves()
    curves.on_train_begin()
    curves.on_epoch_end(0, {"loss": 1.0})
    curves.on_train_end()
    assert curves.history == {"loss": [1.0]}


def test_a_number_of_epochs_that_is_none_is_refused():
    with pytest.raises(InputError, match="`every=0`: pass a whole number of epochs"):
        kft.callbacks.LiveCurves(every=0)
