"""Exports of several heads and of users' own tasks: each output is declared, checked and queried."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from builds import png
from processes import ask
from test_hostile_versions import reasons_for
from test_serving import serving

import kft
from kft.answers import NumpyOps
from kft.errors import InputError
from kft.export import check_version, clients, export_run, versions
from kft.model.forward import Forward
from kft.tasks import Classification, MultiLabel, Regression, Several
from tests.map_task import MapTask, PlainMap
from tests.tiny_recipe import TinyRecipe

pytestmark = pytest.mark.once

GOOD, BAD = [png(seed) for seed in range(3)], b"no image"
NO_IMAGE = "not a JPEG, PNG, GIF, BMP or WebP image"
TASKS = {
    "several": Several(
        {
            "kind": Classification(3),
            "age": Regression(),
            "tags": MultiLabel(4, threshold=0.4),
            "where": PlainMap(),
        }
    ),
    "map": MapTask(),
    "plain": PlainMap(),
}


@pytest.fixture(scope="module")
def recipes():
    made = {name: TinyRecipe(task=task, image_size=(16, 16)) for name, task in TASKS.items()}
    for recipe in made.values():
        recipe.raw_examples = list(GOOD)
    return made


@pytest.fixture(scope="module")
def exported(recipes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    return {name: recipe.export(folder / name) for name, recipe in recipes.items()}


@pytest.fixture
def copy(exported, tmp_path):
    return lambda name: Path(shutil.copytree(exported[name], tmp_path / name / "1"))


def expected_of(recipe) -> dict[str, np.ndarray]:
    outputs = Forward(recipe.model)(recipe.load(recipe.raw_inputs(GOOD)))
    return recipe.task.answer(outputs, recipe.classes, NumpyOps())


NAMES = {
    "several": {
        *("kind_classes", "kind_scores", "kind_label", "age_value"),
        *("tags_classes", "tags_scores", "tags_label", "where_outputs"),
    },
    "map": {"best", "map"},
    "plain": {"outputs"},
}


@pytest.mark.parametrize("name", TASKS)
def test_an_export_answers_what_its_task_answers_beside_a_bad_row(recipes, exported, name):
    assert check_version(exported[name]) == []
    rows = [GOOD[0], BAD, *GOOD[1:]]
    alone, mixed, none = ask(
        exported[name], [("serving_default", raw) for raw in (GOOD, rows, [BAD])]
    )
    expected = expected_of(recipes[name])
    assert set(alone) == {*NAMES[name], "status"}
    assert mixed.pop("status") == ["", NO_IMAGE, "", ""]
    for output, value in expected.items():
        values = mixed[output]
        blank = values.pop(1)
        assert values == alone[output], output
        for one in (blank, none[output][0]):
            if value.dtype == object:
                assert set(np.ravel(one)) == {""}
            elif value.dtype.kind == "i":
                assert not np.any(one)
            else:
                assert np.isnan(one).all()
        if value.dtype == object:
            assert np.array_equal(np.vectorize(bytes.decode)(value), values), output
        else:
            np.testing.assert_allclose(values, value, atol=1e-5)


def test_features_of_several_kinds_are_embedded_by_their_names(recipes, exported):
    (answer,) = ask(exported["several"], [("embed", [GOOD[0], BAD])])
    assert set(answer) == {"features_map", "features_vector", "status"}
    assert np.shape(answer["features_map"]) == (2, *recipes["several"].head_input["map"].shape[1:])
    assert np.isnan(answer["features_map"][1]).all()
    assert np.isfinite(answer["features_vector"][0]).all()


def test_pixels_are_a_second_way_in(exported):
    grey = np.full((2, 16, 16, 3), 128.0)
    grey[1, 0, 0, 0] = np.nan
    (answer,) = ask(exported["map"], [("tensors", grey.tolist())])
    assert answer["status"] == ["", "not finite numbers"]
    assert np.isfinite(answer["map"][0]).all()
    assert not np.any(answer["best"][1])


def test_the_clients_print_whatever_outputs_there_are(exported, tmp_path):
    """Tested over REST and gRPC; a label is printed in place of its classes."""
    (tmp_path / "a.png").write_bytes(GOOD[0])
    (tmp_path / "b.png").write_bytes(BAD)
    (expected,) = ask(exported["several"], [("serving_default", [GOOD[0]])])
    made = clients.files(exported["several"])
    with serving("stand-in", "several", exported["several"].parent) as ports:
        printed = {}
        for file, port in (("rest_client.py", ports.rest), ("grpc_client.py", ports.grpc)):
            script = made[file].replace("localhost:850", "127.0.0.1:850")
            script = script.replace("127.0.0.1:8501", f"127.0.0.1:{port}")
            script = script.replace("127.0.0.1:8500", f"127.0.0.1:{port}")
            command = [
                sys.executable,
                "-c",
                script,
                str(tmp_path / "a.png"),
                str(tmp_path / "b.png"),
            ]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr[-2000:]
            assert done.stdout.splitlines()[-1] == NO_IMAGE
            printed[file] = done.stdout
    answer = ast.literal_eval(printed["rest_client.py"].splitlines()[0])
    assert list(answer) == ["kind_label", "age_value", "tags_label", "where_outputs"]
    label, score = answer["kind_label"]
    assert label == expected["kind_label"][0]
    assert score == pytest.approx(expected["kind_scores"][0][0], abs=1e-6)
    assert answer["age_value"] == pytest.approx(expected["age_value"][0], abs=1e-6)
    assert np.shape(answer["where_outputs"]) == np.shape(expected["where_outputs"][0])
    assert f"'kind_label': '{label}'" in printed["grpc_client.py"]


def change(version: Path, changes: dict) -> None:
    """Change the metadata of a version, key by key for those of its answers."""
    path = version / "assets.extra" / "kft.json"
    facts = json.loads(path.read_text())
    described = {**facts["answers"], **changes.get("answers", {})}
    path.write_text(json.dumps({**facts, **changes, "answers": described}))
    versions.write_manifest(version)


MAP = {"best": {"dtype": "int32", "rank": 3}, "map": {"dtype": "float32", "rank": 4}}


TAMPERED = [
    ({"answers": {"outputs": {}}}, "an answer has 0 outputs"),
    ({"answers": {"outputs": {f"x{i}": MAP["map"] for i in range(101)}}}, "101 outputs"),
    ({"answers": {"outputs": {'"]; import os; ["': MAP["map"]}}}, "cannot be the name of an"),
    ({"answers": {"outputs": {"x" * 101: MAP["map"]}}}, "cannot be the name of an output"),
    ({"answers": {"outputs": {"map": {"dtype": "variant", "rank": 4}}}}, "the type 'variant'"),
    ({"answers": {"outputs": {"map": {"dtype": "float32", "rank": 10**9}}}}, "1000000000 axes"),
    ({"answers": {"outputs": {"map": {"dtype": "float32", "rank": True}}}}, "True axes"),
    ({"answers": {"outputs": {"map": {"dtype": "float32", "size": 4}}}}, "cannot be read"),
    ({"answers": {"largest": {"map": "best"}}}, "cannot name the largest of"),
    ({"answers": {"largest": {"best": "other"}}}, "a rule names the output 'other'"),
    (
        {"answers": {"rankings": [{"classes": "best", "scores": "map"}]}},
        "its rule needs string",
    ),
    ({"answers": {"rankings": [{}] * 101}}, "but a short list is expected"),
    ({"answers": {"classify": True}}, "`classify` without a ranking"),
    ({"answers": {"classify": 1}}, "but true or false is expected"),
    ({"answers": {"regress": "map"}}, "its rule needs float32 with 1 axes"),
    ({"answers": {"run": "print(1)"}}, "cannot be read"),
    ({"answers": {"largest": {}}}, ""),
    ({"answers": {"outputs": {"map": MAP["map"]}, "largest": {}}}, "not ['map', 'status']"),
    ({"features": {"other": 4}}, "not ['other', 'status']"),
    ({"features": {"features": "4"}}, "with '4' axes"),
    ({"tensors": 9}, "with 9 axes"),
    ({"tensors": None}, "signature 'tensors' was not promised"),
    ({"tensors": 3}, "not 3 axes"),
]


def test_a_tampered_description_of_answers_is_refused(exported, tmp_path):
    copies = []
    for index, (changes, _) in enumerate(TAMPERED):
        copies.append(Path(shutil.copytree(exported["map"], tmp_path / str(index))))
        change(copies[-1], changes)
    found = reasons_for(copies)
    for (changes, reason), copied in zip(TAMPERED, copies, strict=True):
        said = " ".join(found[str(copied)])
        # An empty reason stands for metadata that are stricter than before but still true.
        assert (reason in said) if reason else not said, changes


def test_a_number_that_does_not_follow_from_its_scores_is_found(copy):
    """Numbers that depend on rounding are not compared with the prediction but derived from scores."""
    from kft.export import warmup

    version = copy("map")
    logs = list(warmup.read(version))
    outputs = logs[0].predict_log.response.outputs
    scores = warmup.from_proto(outputs["map"])
    outputs["map"].CopyFrom(warmup.to_proto(-scores))
    warmup.write(version, logs)
    versions.write_manifest(version)
    assert "map differs from the prediction" in " ".join(check_version(version))


def test_a_format_of_one_output_refuses_several_and_carries_a_map(recipes, tmp_path):
    with pytest.raises(InputError, match=r"supports one output, but Several has kind, .*where"):
        recipes["several"].export(tmp_path / "several", format="litert")
    assert not (tmp_path / "several").exists()
    version = recipes["plain"].export(tmp_path / "plain", format="litert")
    assert check_version(version) == []


def test_smaller_weights_say_what_they_cost_each_head(recipes, tmp_path):
    version = recipes["several"].export(tmp_path / "half", weights="float16")
    cost = json.loads((version / "assets.extra" / "kft.json").read_text())["weights_cost"]
    assert cost["examples"] == 3
    assert 0 < cost["largest_change"] < 0.1
    assert 0 <= cost["best_class_changes"] <= 3


# Runs with a user's own task.


@pytest.fixture(scope="module")
def run(recipes, tmp_path_factory):
    return recipes["map"].save(tmp_path_factory.mktemp("run") / "map")


def test_a_task_of_ones_own_is_passed_and_the_error_says_how(recipes, run, tmp_path):
    with pytest.raises(InputError) as error:
        kft.load(run, recipe=TinyRecipe)
    assert "of the class `tests.map_task:MapTask`, which does not come with kft" in str(error.value)
    assert "kft.load(RUN, task=MapTask)" in str(error.value)
    assert "--task tests.map_task:MapTask" in str(error.value)
    loaded = kft.load(run, recipe=TinyRecipe, task=MapTask)
    assert loaded.task == recipes["map"].task
    several = recipes["several"].save(tmp_path / "several")
    with pytest.raises(InputError, match=r"tests\.map_task:PlainMap"):
        kft.load(several, recipe=TinyRecipe)
    assert kft.load(several, recipe=TinyRecipe, task=[PlainMap]).task == recipes["several"].task


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        (PlainMap, "of the class `tests.map_task:MapTask`"),
        ([MapTask, PlainMap], "but `tests.map_task:PlainMap` was passed"),
        ("tests.map_task:MapTask", "is not a task's class"),
        (dict, "is not a task's class"),
    ],
)
def test_another_task_than_the_runs_is_refused(run, passed, said):
    with pytest.raises(InputError, match=said):
        kft.load(run, recipe=TinyRecipe, task=passed)


def test_no_module_that_a_task_names_is_imported(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "kft_trap.py").write_text("import os; os.mkdir('sprung')\nclass Trap: pass\n")
    copied = Path(shutil.copytree(run, tmp_path / "run"))
    content = json.loads((copied / "recipe.json").read_text())
    content["arguments"]["task"]["class"] = "kft_trap:Trap"
    (copied / "recipe.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="of the class `kft_trap:Trap`"):
        kft.load(copied, recipe=TinyRecipe, task=MapTask)
    assert not (tmp_path / "sprung").exists()


def test_the_command_exports_a_task_that_is_named(run, tmp_path, cli):
    named = ("--recipe", "tests.tiny_recipe:TinyRecipe")
    code, _, said = cli("export", run, tmp_path / "serving", *named)
    assert code == 2
    assert "--task tests.map_task:MapTask" in said
    code, _, said = cli(
        "export", run, tmp_path / "serving", *named, "--task", "tests.map_task:Gone"
    )
    assert code == 2
    assert "--task: 'Gone' is not there" in said
    named += ("--task", "tests.map_task:MapTask")
    code, printed, said = cli("export", run, tmp_path / "serving", *named)
    assert code == 0, said
    assert check_version(printed.strip()) == []


@pytest.mark.parametrize("command", ["predict", "evaluate", "report"])
def test_other_commands_say_that_a_task_is_to_be_named(run, command, cli):
    inputs = {"predict": [__file__], "evaluate": ["--data", "x"], "report": ["--output", "x.html"]}
    named = ("--recipe", "tests.tiny_recipe:TinyRecipe")
    code, _, said = cli(command, run, *inputs[command], *named)
    assert code == 2
    assert "--task tests.map_task:MapTask" in said
    named += ("--task", "tests.map_task:MapTask")
    _, _, said = cli(command, run, *inputs[command], *named)
    assert "which does not come with kft" not in said
    assert "No such option" not in said


def test_a_task_of_a_script_is_refused_before_any_work(run, tmp_path):
    class Local(MapTask):
        pass

    with pytest.raises(InputError, match=r"has to import the class .*Local"):
        TinyRecipe(task=Local(), image_size=(16, 16)).export(tmp_path / "serving")
    with pytest.raises(InputError, match=r"has to import the class .*Local"):
        export_run(run, tmp_path / "serving", task=Local)
    assert not (tmp_path / "serving").exists()
