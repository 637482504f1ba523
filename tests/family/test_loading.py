"""Untrusted run directories: the modules they name are not imported, and sizes are limited."""

import json
import os
import resource
import shutil
import signal
import struct
import sys
import types
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

import kft
from kft.cli.demo.recipe import DigitsRecipe
from kft.errors import InputError, KftError
from kft.family import known as known_recipes
from kft.family.description import read_description
from kft.family.reopening import reopen, report_again
from kft.family.run import Run
from kft.family.run_files import keep
from kft.runs import reading
from tests.small_images import TinyRecipe, bright_sides

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return the run directory of a recipe that comes with kft, as written by `fit`."""
    recipe = DigitsRecipe(num_classes=2, classes=["a", "b"])
    recipe.raw_examples = [b"one", b"two"]
    stages = [{"unfreeze": 0, "epochs": 1, "learning_rate": 0.01}]
    run = Run(
        recipe,
        {"loss": [1.0, 0.5], "stage": [1, 1]},
        tmp_path_factory.mktemp("saved") / "run",
        journal={"seconds": {"1": 2.0}, "moved": {"head": 0.1}},
    )
    keep(run, {"stages": stages, "batch_norm": "frozen", "seed": 0})
    return run.run_dir


@pytest.fixture
def run(saved, tmp_path):
    """Return a copy of the run directory to tamper with."""
    return shutil.copytree(saved, tmp_path / "run")


def tamper(run, file="recipe.json", **changes):
    content = json.loads((run / file).read_text())
    content.update(changes)
    (run / file).write_text(json.dumps(content))


def with_arguments(run, **arguments):
    found = json.loads((run / "recipe.json").read_text())["arguments"]
    tamper(run, arguments={**found, **arguments})


@contextmanager
def at_once():
    """Make a test fail that would wait forever, such as on a pipe."""

    def fail(number, frame):
        raise AssertionError("it waited")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(20)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# Classes.


def test_a_recipe_that_comes_with_kft_loads_by_itself(run):
    assert type(kft.load(run)) is DigitsRecipe
    for name in ("MobileNetRecipe", "ResNetRecipe"):
        module = {"MobileNetRecipe": "mobilenet", "ResNetRecipe": "resnet"}[name]
        assert known_recipes.known_recipe(f"recipes.{module}:{name}").__name__ == name


TRAP = "import os; os.mkdir(os.environ['KFT_TRAP'])\nfrom kft.cli.demo.recipe import DigitsRecipe as Trap\n"


@pytest.mark.parametrize(
    "module",
    ["kft_trap", "kft_traps.inner", "runs.photos.kft_trap", "recipes.kft_trap", "kft.kft_trap"],
)
def test_no_module_that_a_run_names_is_imported(run, tmp_path, monkeypatch, module):
    """It may be a module of the working directory, a package, or a namespace package as in README."""
    monkeypatch.setenv("KFT_TRAP", str(tmp_path / "sprung"))
    path = tmp_path / "here" / f"{module.replace('.', '/')}.py"
    path.parent.mkdir(parents=True)
    path.write_text(TRAP)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.syspath_prepend(tmp_path / "here")
    tamper(run, **{"class": f"{module}:Trap"})
    with pytest.raises(InputError, match=f"of the class `{module}:Trap`, which does not come with"):
        kft.load(run)
    assert not (tmp_path / "sprung").exists()
    assert module not in sys.modules


@pytest.mark.parametrize(
    "named",
    [
        "this:Recipe",  # an installed module with an effect on import
        "os:system",
        "kft:load",
        "recipes:BertRecipe",
        "recipes.bert:os.system",
        "recipes.bert:BertRecipe.fit",
        "recipes.mobilenet:ResNetRecipe",
        "kft.cli.demo.recipe:small_network",
        "kft.cli.demo.recipe:DigitsRecipe.rebuild",
        "recipes..bert:BertRecipe",
        "recipes.:__import__",
        " recipes.bert:BertRecipe",
        "__main__:DigitsRecipe",
    ],
)
def test_a_class_is_one_of_kfts_recipes_by_its_exact_name(run, named):
    before = set(sys.modules)
    tamper(run, **{"class": named})
    with pytest.raises(InputError, match="does not come with kft"):
        kft.load(run)
    assert "this" not in set(sys.modules) - before


def test_a_package_that_is_called_recipes_is_not_taken_for_kfts(tmp_path, monkeypatch):
    (tmp_path / "recipes.py").write_text("raise SystemExit('a stranger's recipes')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "recipes"]:
        monkeypatch.delitem(sys.modules, name)
    assert known_recipes.recipes_package().__all__[0] == "AlbertRecipe"
    monkeypatch.setitem(sys.modules, "recipes", types.ModuleType("recipes"))
    with pytest.raises(InputError, match="not the package that was installed with kft"):
        known_recipes.known_recipe("recipes.mobilenet:MobileNetRecipe")


@pytest.fixture
def own(tmp_path):
    return TinyRecipe(num_classes=2, classes=["a", "b"]).save(tmp_path / "own")


def test_a_recipe_of_ones_own_is_passed_and_the_error_says_how(own):
    with pytest.raises(InputError) as error:
        kft.load(own)
    assert f"kft.load({str(own)!r}, recipe=TinyRecipe)" in str(error.value)
    assert "--recipe tests.small_images:TinyRecipe" in str(error.value)
    assert type(kft.load(own, recipe=TinyRecipe)) is TinyRecipe


@dataclass(kw_only=True, eq=False)
class OtherRecipe(TinyRecipe):
    """Another recipe with the same model."""


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        (OtherRecipe, "holds a recipe of the class `tests.small_images:TinyRecipe`"),
        (DigitsRecipe, "`kft.cli.demo.recipe:DigitsRecipe` was passed"),
        ("tests.small_images:TinyRecipe", "is not a recipe's class"),
        (dict, "is not a recipe's class"),
    ],
)
def test_another_class_than_the_runs_is_refused(own, passed, said):
    with pytest.raises(InputError, match=said):
        kft.load(own, recipe=passed)


def test_a_class_of_a_script_is_the_same_in_a_module(own):
    tamper(own, **{"class": "__main__:TinyRecipe"})
    assert type(kft.load(own, recipe=TinyRecipe)) is TinyRecipe
    with pytest.raises(InputError, match="--recipe MODULE:TinyRecipe once the class lies in a"):
        kft.load(own)


# Arguments and state.


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"nonsense": 1}, "`nonsense=1` is not an argument of `DigitsRecipe`"),
        ({"hidden": 3}, "hidden|does not describe"),
        ({"hidden": [0]}, "hidden"),
        ({"num_classes": 10**30}, "num_classes|does not"),
        ({"seed": 2**70}, "seed|does not describe"),
        ({"seed": "a"}, "seed|does not describe"),
        ({"dropout": float("nan")}, "dropout"),
        ({"weight_decay": "much"}, "weight_decay"),
        ({"name": []}, "name|does not describe"),
        ({"image_size": [16]}, "image_size"),
        ({"image_size": {"a": 1}}, "image_size"),
        ({"pooling": None}, "pooling"),
        ({"task": "regression"}, "recipe.json"),
        ({"classes": {"a": 1}}, "classes"),
    ],
)
def test_arguments_that_suit_no_recipe_are_named(run, arguments, said):
    with_arguments(run, **arguments)
    with pytest.raises(InputError, match=said):
        kft.load(run)


@pytest.mark.parametrize(
    "arguments", [{"hidden": [20_000, 20_000]}, {"num_classes": 2_000_000, "hidden": [200]}]
)
def test_a_model_that_the_weights_do_not_fill_takes_no_memory(run, arguments):
    """A few kilobytes describe 1.6 GB of weights."""
    with_arguments(run, **arguments)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=r"does not fit the model|num_classes"):
        kft.load(run)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000


def test_a_model_of_ones_own_takes_no_memory_either(own):
    with_arguments(own, hidden=[20_000, 20_000])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="does not fit the model"):
        kft.load(own, recipe=TinyRecipe)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000


@dataclass(kw_only=True, eq=False)
class ReadingRecipe(TinyRecipe):
    """A recipe that reads the values of its weights while it builds its model."""

    def head(self, features, inputs):
        weights = keras.Model(inputs, features).get_weights()
        assert any(np.ptp(weight) > 0 for weight in weights)
        with keras.StatelessScope():
            pass
        keras.Variable(np.zeros(3))  # Keras refuses it while variables have no values
        return super().head(features, inputs)


def test_a_recipe_that_reads_its_weights_loads(tmp_path):
    run = ReadingRecipe(num_classes=2).save(tmp_path / "run")
    assert type(kft.load(run, recipe=ReadingRecipe)) is ReadingRecipe


def test_nothing_of_the_model_that_was_outlined_is_built_later(run):
    """Keras initializes the variables of one scope when the next one ends."""
    with_arguments(run, hidden=[20_000, 20_000])
    with pytest.raises(InputError):
        kft.load(run)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with keras.StatelessScope():
        pass
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000


def test_the_weights_that_a_run_was_trained_from_are_not_read(run, tmp_path):
    with_arguments(run, weights="/dev/zero")
    recipe = kft.load(run)
    assert recipe.weights == "/dev/zero", "for the record"
    with_arguments(run, weights={"path": "/dev/zero"})
    with pytest.raises(InputError, match="is neither text nor null"):
        kft.load(run)


@pytest.mark.parametrize(
    "scale", [float("nan"), float("inf"), "large", [1.0, 2.0], [[1.0]], {"a": 1}, None]
)
def test_the_scale_of_a_regression_is_a_number_per_target(tmp_path, scale):
    run = DigitsRecipe(num_classes=1, task="regression").save(tmp_path / "run")
    assert kft.load(run).model.get_layer("scores").scale == 1.0
    tamper(run, state={"target_scale": scale, "target_offset": 0.0})
    with pytest.raises(InputError, match=r"target_scale|does not describe"):
        kft.load(run)


# Files.

JSON = ("recipe.json", "history.json", "journal.json", "examples.json")
DAMAGE = {
    "a list": b"[]",
    "a word": b'"recipe"',
    "nothing": b"",
    "no JSON": b"{",
    "no UTF-8": b'{"format": "\xff"}',
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "a bit deep": b'{"a":' * 200 + b"1" + b"}" * 200,
    "digits": b'{"format": ' + b"9" * 4000 + b"}",
    "half a pair": b'{"loss": ["\\ud800"]}',
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", JSON)
def test_a_file_that_fit_does_not_write_is_refused_by_name(run, file, damage):
    (run / file).write_bytes(DAMAGE[damage])
    with at_once(), pytest.raises(InputError, match=file.replace(".", r"\.")):
        reopen(run)


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("recipe.json", {"format": []}),
        ("recipe.json", {"format": 99, "versions": []}),
        ("recipe.json", {"class": {}}),
        ("recipe.json", {"class": "a:" + "b" * 1000}),
        ("recipe.json", {"classes": [1, 2]}),
        ("recipe.json", {"classes": ["a", "b", "c"]}),
        ("recipe.json", {"classes": None}),
        ("recipe.json", {"format": True}),
        ("recipe.json", {"task": None}),
        ("recipe.json", {"task": "regression"}),
        ("recipe.json", {"modality": []}),
        ("recipe.json", {"plan": {}}),
        ("recipe.json", {"state": []}),
        ("recipe.json", {"weights_sha256": None}),
        ("recipe.json", {"plan": "all of it"}),
        ("recipe.json", {"plan": {"stages": {}}}),
        ("history.json", {"loss": {"a": 1}}),
        ("history.json", {"loss": [[]]}),
        ("examples.json", {"examples": {"a": 1}}),
        ("examples.json", {"examples": [{"base64": "%"}]}),
        ("examples.json", {"examples": [3]}),
        ("examples.json", {"examples": [""] * 100_000}),
    ],
)
def test_a_value_of_another_kind_is_refused_by_name(run, file, changes):
    tamper(run, file, **changes)
    with at_once(), pytest.raises(InputError, match=file.replace(".", r"\.")):
        reopen(run)


def too_large(path, target):
    path.unlink()
    with path.open("wb") as file:
        file.truncate(10 * 2**30)  # takes no room on the disk


def pipe(path, target):
    path.unlink()
    os.mkfifo(path)


def device(path, target):
    path.unlink()
    path.symlink_to("/dev/zero")


def directory(path, target):
    path.unlink()
    path.mkdir()


def link_out(path, target):
    path.rename(target)
    path.symlink_to(target)


OTHERS = {
    too_large: "bytes, but|cannot be read",
    pipe: "is a named pipe, but a file is expected",
    device: "is a device, but a file is expected",
    directory: "is a folder, but a file is expected",
    link_out: "is a link out of",
}


@pytest.mark.parametrize("change", OTHERS)
@pytest.mark.parametrize("file", [*JSON, "weights.safetensors"])
def test_what_is_no_file_of_the_run_is_not_read(run, tmp_path, file, change):
    change(run / file, tmp_path / "elsewhere")
    said = OTHERS[change] if file.endswith("safetensors") else OTHERS[change].partition("|")[0]
    with at_once(), pytest.raises(InputError, match=rf"{file}` .*({said})"):
        reopen(run)


def test_a_link_within_the_run_is_read(run):
    (run / "weights.safetensors").rename(run / "kept")
    (run / "weights.safetensors").symlink_to("kept")
    assert kft.load(run).is_fitted


def header(content, length=None):
    text = json.dumps(content).encode() if not isinstance(content, bytes) else content
    return struct.pack("<Q", len(text) if length is None else length) + text


WEIGHTS = {
    "empty": b"",
    "cut": b"\1",
    "a header of exabytes": header({}, 2**62),
    "a header without end": header({}, 1000),
    "no JSON": header(b"{{"),
    "a list": header([]),
    "deep": header(b"[" * 100_000),
    "no dtype": header({"a": {"shape": [1]}}),
    "another dtype": header({"a": {"dtype": "OBJECT", "shape": [1], "data_offsets": [0, 8]}}),
    "a shape below 0": header({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 0]}}),
    "a shape of words": header({"a": {"dtype": "F32", "shape": ["1"], "data_offsets": [0, 4]}}),
    "exabytes": header({"a": {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 2**62]}}),
}


@pytest.mark.parametrize("content", WEIGHTS.values(), ids=WEIGHTS)
def test_weights_that_are_none_are_refused_by_name(run, content):
    (run / "weights.safetensors").write_bytes(content)
    with at_once(), pytest.raises(InputError, match=r"weights\.safetensors"):
        kft.load(run)


def test_weights_of_another_kind_are_no_weights(run):
    recipe = kft.load(run)
    whole = {
        f"{place:05d}:{weight.name}": np.zeros(weight.shape, "int32")
        for place, weight in enumerate(recipe.model.weights)
    }
    save_file(whole, run / "weights.safetensors")
    with pytest.raises(InputError, match=r"is int32 .* in the file, float32"):
        kft.load(run)


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("history.json", {"loss": ["a", "b"]}),
        ("history.json", {"stage": [None, 1e300]}),
        ("journal.json", {"seconds": {"1": "a"}}),
        ("journal.json", {"moved": [1, 2]}),
        ("journal.json", {"data": {"parts": 3}}),
        ("journal.json", {"rates": {"head": 3}}),
    ],
)
def test_a_page_that_cannot_be_drawn_names_the_run(run, tmp_path, file, changes):
    tamper(run, file, **changes)
    with pytest.raises(InputError, match="cannot be drawn"):
        report_again(reopen(run), tmp_path / "page.html")


def test_a_page_is_not_written_through_a_link(run, tmp_path):
    (tmp_path / "private.html").write_text("mine")
    (run / "report.html").symlink_to(tmp_path / "private.html")
    report_again(reopen(run), run / "report.html")
    assert (tmp_path / "private.html").read_text() == "mine"
    assert not (run / "report.html").is_symlink()


LEAVES = st.sampled_from(
    [None, True, -1, 2**63, 1e308, float("nan"), "", "a" * 300, "\x00", [], {}, [[]], {"a": []}]
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_in_a_description_is_refused_by_name_or_harmless(run, data):
    path = run / "recipe.json"
    whole = path.read_text()
    content = json.loads(whole)
    place = content
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if not (isinstance(place[key], dict) and place[key] and data.draw(st.booleans())):
            break
        place = place[key]
    place[key] = data.draw(LEAVES)
    path.write_text(json.dumps(content))
    try:
        with at_once():
            assert isinstance(reopen(run), Run)
    except KftError:
        pass
    finally:
        path.write_text(whole)


# What is written.


def test_an_unfinished_run_with_a_link_out_of_it_is_not_gone_on_with(tmp_path):
    """Locks, commits and features would be written and removed at the target of the link."""
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in ("state", "features", ".begun.json"):
        run = tmp_path / f"run-{name}"
        run.mkdir()
        (run / name).symlink_to(mine / name)
        with pytest.raises(InputError, match="is a link out of"):
            DigitsRecipe(num_classes=2).fit(bright_sides(8), run_dir=run, verbose=0)
    assert not list(mine.iterdir())


def test_a_pipe_in_an_unfinished_run_is_not_waited_for(tmp_path):
    (tmp_path / "run" / "state").mkdir(parents=True)
    os.mkfifo(tmp_path / "run" / "state" / "owner.json")
    with at_once(), pytest.raises(InputError, match="neither a file nor a directory"):
        DigitsRecipe(num_classes=2).fit(bright_sides(8), run_dir=tmp_path / "run", verbose=0)


@pytest.mark.parametrize(
    "begun", ["{}", "[]", '{"plan": {}, "cached": 3}', '{"plan": [], "cached": [true]}']
)
def test_a_damaged_note_of_an_unfinished_run_is_named(tmp_path, begun):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "begun.json").write_text(begun)
    with pytest.raises(InputError, match=r"begun\.json` is damaged"):
        DigitsRecipe(num_classes=2).fit(bright_sides(8), run_dir=tmp_path / "run", verbose=0)


def test_a_loop_of_links_ends(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with at_once(), pytest.raises(InputError):
        reading.read_json(tmp_path / "a")
    with at_once():
        reading.check_tree(tmp_path)


def test_examples_that_are_too_large_do_not_stay_with_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr("kft.export.launch.LARGEST_EXAMPLE", 3)
    recipe = DigitsRecipe(num_classes=2)
    recipe.raw_examples = [b"four", b"one"]
    assert kft.load(recipe.save(tmp_path / "run")).raw_examples == [b"one"]
    assert read_description(tmp_path / "run")["class"] == "kft.cli.demo.recipe:DigitsRecipe"


def test_the_end_of_a_log_is_read_without_the_rest(tmp_path):
    with (tmp_path / "log").open("wb") as file:
        file.truncate(10**10)  # takes no room on the disk
        file.seek(0, 2)
        file.write("\none\ntwö\n".encode() + b"thr\xffe")
    assert reading.last_lines(tmp_path / "log", 2) == "twö\nthr\ufffde"
