"""Commands without options use the defaults of Python, which are defined in one place."""

import dataclasses
import inspect
import re
import sys
import types
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

import kft
import recipes
from kft.callbacks.stage_early_stopping import describe_rule
from kft.cli import app, main
from kft.cli.build import needs_count_from_data
from kft.data.read import read
from kft.family.settings import stopping_rule
from kft.insight.range_test import find_learning_rate
from kft.recipe.recipe import Recipe
from kft.testing.families import save_tiny_llama
from tests.recipes import tiny_backbones, tiny_bert, tiny_encoders, tiny_gpt2

pytestmark = pytest.mark.once

COMMANDS = typer.main.get_command(app).commands
BUILDING = ("fit", "tune", "find-lr", "plan", "select")
GIVEN = {"run_dir"}  # given by the tests, although Python has a default for it


class Reached(SystemExit):
    """Raised when the command has passed all arguments on, instead of training."""


def recording(recipe_class, calls):
    """Return a subclass of the recipe that records its arguments."""

    def noting(name):
        def method(self, *args, **kwargs):
            calls.append(Call(name, getattr(Recipe, name), (self, *args), kwargs))
            raise Reached(0)

        return method

    class Recording(recipe_class):
        fit, tune = noting("fit"), noting("tune")

        def __init__(self, *args, **kwargs):
            calls.append(Call("recipe", recipe_class, args, kwargs))
            super().__init__(*args, **kwargs)

        @property
        def model(self):
            raise Reached(0)

    return Recording


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for name in ("blue", "red"):
        (folder / name).mkdir()
        for index in range(2):
            pixels = np.full((8, 8, 3), 9 * index + len(name), "uint8")
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return str(folder)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    table = tmp_path_factory.mktemp("texts") / "texts.tsv"
    table.write_text("text\tlabel\ngood film\ta\nbad film\tb\n", encoding="utf-8")
    return str(table)


@pytest.fixture(scope="module")
def presets(tmp_path_factory):
    """Return a preset for each recipe that starts from one."""
    folder = tmp_path_factory.mktemp("presets")
    gpt2 = tiny_gpt2.save_preset(folder / "gpt2")
    return {
        **{
            f"{kind}Recipe": str(tiny_encoders.save_preset(kind, folder / kind))
            for kind in tiny_encoders.KINDS
        },
        "EncoderRecipe": str(tiny_bert.save_preset(folder / "bert")),
        "CausalLMRecipe": gpt2,
        "GPT2Recipe": gpt2,
        "ImageBackboneRecipe": str(tiny_backbones.save_preset("ViT", folder / "vit")),
        "LlamaRecipe": save_tiny_llama(folder / "llama"),
    }


@pytest.fixture(scope="module")
def examples(photos, texts):
    """Return the data, read once for all tests."""
    return {
        source: read(source, task="single_label", modality=modality)
        for source, modality in ((photos, "image"), (texts, "text"))
    }


@pytest.fixture
def called(monkeypatch, tmp_path, photos, texts, presets, examples):
    """Return a function that runs a command on a recipe and returns its calls of Python."""

    def run(command, recipe, *options):
        calls = []
        module = types.ModuleType("recorded")
        setattr(module, recipe, recording(getattr(recipes, recipe), calls))
        monkeypatch.setitem(sys.modules, "recorded", module)

        def noted(source, **kwargs):
            calls.append(Call("read", read, (source,), kwargs))
            return examples[source]

        def found(*args, **kwargs):
            calls.append(Call("find-lr", find_learning_rate, args, kwargs))
            raise Reached(0)

        monkeypatch.setattr("kft.data.read.read", noted)
        monkeypatch.setattr("kft.insight.range_test.find_learning_rate", found)
        has_preset = recipe in presets
        words = [command, f"recorded:{recipe}"]
        if command == "select":
            words[1] += f",preset={presets[recipe]}" if has_preset else ""
        elif has_preset and "--model" not in options:
            words += ["--model", presets[recipe]]
        if command != "plan":
            is_text = getattr(recipes, recipe).modality == "text"
            words += ["--data", texts if is_text else photos]
        if command in ("fit", "tune"):
            words += ["--run-dir", str(tmp_path / "run")]
        monkeypatch.setattr(sys, "argv", ["kft", *words, *map(str, options)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.type is Reached, f"ended with {ended.value.code} before all was handed over"
        if command == "plan":
            calls = calls[:1]  # the second recipe is a copy without weights
        return {call.name: call for call in calls}

    return run


@dataclasses.dataclass
class Call:
    """A call by a command: `target(*args, **kwargs)`."""

    name: str
    target: Any
    args: tuple
    kwargs: dict

    def values(self):
        """Return the values of all arguments with a default."""
        bound = inspect.signature(self.target).bind(*self.args, **self.kwargs)
        bound.apply_defaults()
        return {name: bound.arguments[name] for name in self.defaults()}

    def defaults(self):
        """Return the defaults of these arguments in Python."""
        return {
            one.name: one.default
            for one in inspect.signature(self.target).parameters.values()
            if one.default is not inspect.Parameter.empty and one.name not in GIVEN
        }


def fields(recipe):
    return {field.name: getattr(recipe, field.name) for field in dataclasses.fields(recipe)}


@pytest.mark.parametrize("command", BUILDING)
@pytest.mark.parametrize("recipe", recipes.__all__)
def test_a_command_without_options_hands_over_pythons_own_defaults(
    called, presets, command, recipe
):
    handed = called(command, recipe)
    recipe_class = getattr(recipes, recipe)
    needed = {"preset": presets[recipe]} if recipe in presets else {}
    if needs_count_from_data(recipe_class, {}):
        needed["num_classes"] = 2
    made = handed.pop("recipe")
    assert made.kwargs.keys() == needed.keys(), "what is not given is not passed"
    assert fields(recipe_class(**made.kwargs)) == fields(recipe_class(**needed))
    for call in handed.values():
        assert call.values() == call.defaults(), call.name
    if command in ("fit", "tune", "find-lr"):
        assert handed.keys() == {"read", command}


def stage(tmp_path):
    path = tmp_path / "stages.yaml"
    path.write_text("- {unfreeze: 0, epochs: 1, learning_rate: 0.5}\n")
    return path


# Option: the typed value, the Python argument that it sets, and the value there.
RECIPE = {
    "--model": ("MobileNet", "name", "MobileNet"),
    "--weights": ("none", "weights", None),
    "--image-size": ("40x48", "image_size", (40, 48)),
    "--task": ("multi_label", "task", "multi_label"),
    "--pooling": ("max", "pooling", "max"),
    "--hidden": ("8,4", "hidden", (8, 4)),
    "--dropout": ("0.125", "dropout", 0.125),
    "--weight-decay": ("0.125", "weight_decay", 0.125),
    "--label-smoothing": ("0.125", "label_smoothing", 0.125),
    "--set": ("alpha=0.35", "alpha", 0.35),
    "--precision": ("mixed_bfloat16", "precision", "mixed_bfloat16"),
    "--lora-rank": ("4", "adapters", kft.LoRA(rank=4)),
    "--lora-alpha": ("4", "adapters", kft.LoRA(alpha=4)),
    "--lora-layers": ("query,conv", "adapters", kft.LoRA(layers=("query", "conv"))),
    "--lora-blocks": ("2", "adapters", kft.LoRA(blocks=2)),
}
READ = {
    "--text-column": ("words", "text_column", "words"),
    "--path-column": ("file", "path_column", "file"),
    "--image-root": ("photos", "image_root", "photos"),
    "--label-column": ("kind", "label_column", "kind"),
    "--encoding": ("latin-1", "encoding", "latin-1"),
    "--max-pixels": ("99", "max_pixels", 99),
    "--split": ("test", "split", "test"),
    "--on-bad-example": ("skip", "on_bad_example", "skip"),
}
SPLIT = {
    "--group-column": ("person", "groups", "person"),
    "--time-column": ("day", "order", "day"),
}
READ_BY = {"fit": READ | SPLIT, "tune": READ | SPLIT, "find-lr": READ | SPLIT}
SHARED = {
    "--stages": (stage, "stages", (kft.Stage(0, 1, 0.5),)),
    "--batch-size": ("7", "batch_size", 7),
    "--batch-norm": ("train", "batch_norm", "train"),
    "--seed": ("7", "seed", 7),
}
OPTIONS = {
    "fit": {
        **SHARED,
        "--validation-split": ("0.3", "validation_data", 0.3),
        "--balance": ("weights", "balance", "weights"),
        "--augment": ("light", "augment", "light"),
        "--jit-compile": (None, "jit_compile", True),
        "--no-jit-compile": (None, "jit_compile", False),
        "--calibrate": (None, "finish", kft.Finish(calibrate=True)),
        "--no-calibrate": (None, "finish", kft.Finish(calibrate=False)),
        "--refit": (None, "finish", kft.Finish(refit=True)),
        "--no-refit": (None, "finish", kft.Finish(refit=False)),
        "--keep-examples": (None, "finish", kft.Finish(keep_examples=True)),
        "--no-keep-examples": (None, "finish", kft.Finish(keep_examples=False)),
        "--cache": ("off", "cache", kft.Cache(False)),
        "--cache-dtype": ("float16", "cache", kft.Cache(dtype="float16")),
        "--cached-views": ("7", "cache", kft.Cache(views=7)),
        "--checkpoint-every": ("7", "resume", kft.Resume(every=7)),
        "--allow-changed-plan": (None, "resume", kft.Resume(allow_changed_plan=True)),
        "--retries": ("7", "resume", kft.Resume(retries=7)),
        "--distribution": ("none", "distribution", "none"),
        "--early-stopping": ("0", "early_stopping", None),
        "--monitor": (
            "val_kappa:max",
            "restore_best",
            kft.BestEpoch(monitor=("val_kappa", "max")),
        ),
        "--restore-best": ("none", "restore_best", kft.BestEpoch(None)),
        "--quiet": (None, "verbose", 0),
    },
    "tune": {
        **SHARED,
        "--validation-split": ("0.3", "validation_data", 0.3),
        "--trials": ("7", "max_trials", 7),
        "--minutes": ("2", "max_seconds", 120.0),
        "--epochs": ("7", "max_epochs", 7),
        "--folds": ("3", "folds", 3),
        "--workers": ("7", "workers", 7),
        "--host": ("10.0.0.7", "host", "10.0.0.7"),
        "--algorithm": ("grid", "algorithm", "grid"),
        "--prune": ("median", "prune", "median"),
        "--space": ("tests.cli.test_cli_defaults:stage", "space", stage),
        "--objective": ("val_loss", "objective", "val_loss"),
        "--quiet": (None, "verbose", 0),
    },
    "find-lr": {
        **SHARED,
        "--validation-split": ("0.125", "validation_data", 0.125),
        "--lowest": ("0.125", "lowest", 0.125),
        "--highest": ("0.125", "highest", 0.125),
        "--steps": ("77", "steps", 77),
        "--settle": ("7", "settle", 7),
        "--quiet": (None, "verbose", 0),
    },
}
# Options whose defaults are described in words.
SAID_OTHERWISE = {"--model", "--set", "--image-size", "--jit-compile", "--quiet"}
SAID_OTHERWISE |= {"--early-stopping"}
# Options that act before or after the call, which are tested elsewhere.
ASIDE = {
    "--help",
    "--validation-data",
    "--optimizer",
    "--clipnorm",
    "--gradient-accumulation-steps",
    "--fresh",
    "--processes",
    "--dry-run",
}
ASIDE |= {"--min-delta", "--refit", "--write-stages", "--plot", "--json"}


PLAIN = {}  # the calls of each command without options


@pytest.mark.parametrize("command", OPTIONS)
def test_every_option_is_known_to_these_tests(command):
    known = {*RECIPE, *READ_BY[command], *OPTIONS[command], *ASIDE, "--data", "--run-dir"}
    options = {
        max(opts, key=len)
        for one in COMMANDS[command].params
        for opts in (one.opts, one.secondary_opts)
        if opts and opts[0].startswith("-")
    }
    assert options <= known


@pytest.mark.parametrize(
    ("command", "target", "option"),
    [
        (command, target, option)
        for command, own in OPTIONS.items()
        for target, options in (("recipe", RECIPE), ("read", READ_BY[command]), (command, own))
        for option in options
    ],
)
def test_an_option_sets_the_argument_of_its_name_and_no_other(
    called, tmp_path, command, target, option
):
    typed, name, expected = (RECIPE | READ_BY[command] | OPTIONS[command])[option]
    words = [option] if typed is None else [option, typed(tmp_path) if callable(typed) else typed]
    plain = PLAIN.get(command) or PLAIN.setdefault(command, called(command, "MobileNetRecipe"))
    handed = called(command, "MobileNetRecipe", *words)
    changed = {
        (call.name, key): value
        for call in handed.values()
        for key, value in call.values().items()
        if value != plain[call.name].values()[key]
    }
    if option in ("--keep-examples", "--seed"):  # already the default, or an argument of two calls
        changed.setdefault((target, name), handed[target].values()[name])
        assert {key for _, key in changed} == {name}
    else:
        assert changed.keys() == {(target, name)}
    assert all(value == expected for value in changed.values())


def default_of(default, expected):
    """Return the default of an argument, or of the part of it that an option sets."""
    if type(expected) not in (kft.BestEpoch, kft.Cache, kft.Finish, kft.Resume):
        return default
    parts = vars(type(expected)())
    return next((v for name, v in parts.items() if v != getattr(expected, name)), None)


@pytest.mark.parametrize("command", OPTIONS)
def test_the_default_that_help_names_is_pythons(called, command):
    handed = called(command, "MobileNetRecipe")
    helps = {max(one.opts, key=len): one.help for one in COMMANDS[command].params if one.opts}
    for target, options in (("recipe", RECIPE), ("read", READ), (command, OPTIONS[command])):
        defaults = handed[target].values()
        for option, (_, name, expected) in options.items():
            default, said = default_of(defaults[name], expected), helps.get(option, "")
            if option in helps and option not in SAID_OTHERWISE:
                plain = isinstance(default, (int, float, str)) and not isinstance(default, bool)
                assert not plain or re.search(rf"Default: .*\b{re.escape(str(default))}\b", said), (
                    f"{option}: {said}"
                )


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        (("--early-stopping", "3"), {}),
        (("--min-delta", "0.001"), {}),
        (("--early-stopping", "7", "--min-delta", "0.5"), {"patience": 7, "fraction": 0.5}),
        (
            ("--early-stopping", "3", "--monitor", "val_accuracy"),
            {"monitor": "val_accuracy", "mode": "max"},
        ),
    ],
    ids=str,
)
def test_the_rule_that_ends_stages_is_pythons_but_for_what_was_said(called, words, changed):
    handed = called("fit", "MobileNetRecipe", *words)["fit"].values()
    assert describe_rule(handed["early_stopping"]) == describe_rule(stopping_rule("auto")) | changed


@pytest.mark.parametrize("command", ["fit", "tune", "find-lr", "plan"])
@pytest.mark.parametrize("recipe", ["MobileNetRecipe", "BertRecipe"])
@pytest.mark.parametrize(
    "words", [("--weights", "none"), ("--weights=None",), ("--set", "weights=~")]
)
def test_random_weights_are_asked_for_by_name_and_said_aloud(
    called, capsys, command, recipe, words
):
    assert called(command, recipe, *words)["recipe"].kwargs["weights"] is None
    assert "random weights: nothing is pretrained" in capsys.readouterr().err
    assert called(command, recipe)["recipe"].values()["weights"] is not None
    assert "random" not in capsys.readouterr().err
