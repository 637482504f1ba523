"""Any content of users' files is read, or rejected by name."""

import contextlib

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kft.data.read import read
from kft.errors import KftError
from kft.stages.stage import Stage, checked_stages, read_stages

pytestmark = pytest.mark.once

many = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
NAMES = st.sampled_from(
    ["unfreeze", "epochs", "learning_rate", "warmup", "decay", "layer_decay", "name", "other"]
)
SENSIBLE = {"unfreeze": 0, "epochs": 1, "learning_rate": 1e-3}


@many
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode()))
def test_any_bytes_as_a_stages_file(tmp_path, content):
    path = tmp_path / "stages.yaml"
    path.write_bytes(content)
    with contextlib.suppress(KftError):
        assert all(isinstance(stage, Stage) for stage in read_stages(path))


@many
@given(changes=st.lists(st.dictionaries(NAMES, VALUES, max_size=4), min_size=1, max_size=3))
def test_any_values_in_a_stages_file(tmp_path, changes):
    path = tmp_path / "stages.yaml"
    path.write_text(yaml.safe_dump([{**SENSIBLE, **one} for one in changes]), encoding="utf-8")
    with contextlib.suppress(KftError):
        stages = read_stages(path)
        assert checked_stages([stage.to_dict() for stage in stages]) == stages


@many
@given(content=st.binary(max_size=200))
def test_any_bytes_as_a_table(tmp_path, content):
    path = tmp_path / "table.csv"
    path.write_bytes(b"text,label\ngood,a\nbad,b\nfine,a\n" + content)
    with contextlib.suppress(KftError):
        assert len(read(str(path), task="single_label", modality="text"))


@many
@given(rows=st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), min_size=1, max_size=6))
@pytest.mark.parametrize("task", ["single_label", "multi_label", "regression"])
def test_any_texts_and_labels_in_a_table(tmp_path, task, rows):
    path = tmp_path / "table.tsv"
    lines = ["text\tlabel", *("\t".join(row) for row in rows)]
    path.write_text("\n".join(lines), encoding="utf-8", errors="surrogatepass", newline="")
    with contextlib.suppress(KftError):
        assert len(read(str(path), task=task, modality="text"))
