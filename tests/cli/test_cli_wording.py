"""Messages about arguments name the options of the command line."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from kft.cli import app
from kft.cli.wording import in_options

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
COMMANDS = typer.main.get_command(app).commands
WORDS = {
    "fit": ["MobileNetRecipe", "--data", "photos", "--run-dir", "run"],
    "tune": ["MobileNetRecipe", "--data", "photos", "--run-dir", "run"],
    "find-lr": ["MobileNetRecipe", "--data", "photos"],
    "evaluate": ["run", "--data", "photos"],
}


def context(command, *more):
    return COMMANDS[command].make_context(command, [*WORDS[command], *more])


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("`batch_size=0`: pass 1 or more", "`--batch-size 0`: pass 1 or more"),
        ("name the right one by text_column=...", "name the right one by --text-column ..."),
        ("the right one by path_column=... of recipe.read", "the right one by --path-column ..."),
        (
            "one by label_column='My label' of recipe.read, or",
            "one by --label-column 'My label', or",
        ),
        ('or pass on_bad_example="skip" to', "or pass --on-bad-example skip to"),
        ("'imagenet', or weights=None to", "'imagenet', or --weights none to"),
        ("pass run_dir too.", "pass --run-dir too."),
        ("pass validation_data: or", "pass --validation-data: or"),
        ("`image_size=(4, 5)` is too small", "`--image-size 4x5` is too small"),
        ("`hidden=(8, 4)` and hidden=[2]", "`--hidden 8,4` and --hidden 2"),
        ("label_column=['a', 'b c']", "--label-column a --label-column 'b c'"),
        ("compile with jit_compile=False, or", "compile with --no-jit-compile, or"),
        ("`jit_compile=True`", "`--jit-compile`"),
        ("`cache=kft.Cache(views=2)` needs", "`--cached-views 2` needs"),
        ("`every='soon'`: pass 'epoch'", "`--checkpoint-every soon`: pass 'epoch'"),
        ("or resume=kft.Resume(retries=2), which", "or --retries 2, which"),
        ("`adapters=kft.LoRA(alpha=-1)`: pass", "`--lora-alpha -1`: pass"),
        ("`adapters=kft.LoRA(layers=['a', 'b'])`: pass", "`--lora-layers a,b`: pass"),
        ("`validation_data=1.5`: pass data", "`--validation-split 1.5`: pass data"),
        ("`validation_data=nan`: pass data", "`--validation-split nan`: pass data"),
        ("leave out `refit=True`.", "leave out `--refit`."),
        ("`encoding='my code'`", "`--encoding 'my code'`"),
        ("`name='ResNet7'` is not", "`--model ResNet7` is not"),
        ("`alpha=[1]`: pass", "`--set alpha=[1]`: pass"),
        ("`classes` has 2", "`--set classes=VALUE` has 2"),
        ("`num_classes=1000...`", "`--set num_classes=1000...`"),
        ("`optimizer=<keras.Adam object>` is", "`--optimizer '<keras.Adam object>'` is"),
        # Text that is not an argument of the command, or means something else, is unchanged.
        ("such as kft.Stage(unfreeze=0, epochs=3)", "such as kft.Stage(unfreeze=0, epochs=3)"),
        ("what `fit(run_dir=...)` wrote", "what `fit(run_dir=...)` wrote"),
        ("`callbacks=[]` and the data", "`callbacks=[]` and the data"),
        ("write --set alpha=0.35.", "write --set alpha=0.35."),
        ("the folder 'batch_size=32' is", "the folder 'batch_size=32' is"),
        ("Keras' own, the recipe's batch_size=4", "Keras' own, the recipe's --batch-size 4"),
        ("runs/batch_size=32/x is in use", "runs/batch_size=32/x is in use"),
        ("weights and seed of data", "weights and seed of data"),
    ],
)
def test_arguments_are_called_by_their_options(said, expected):
    assert in_options(said, context("fit"), []) == expected


def test_the_options_are_those_of_the_command():
    said = "`max_trials=0`, `weights=None`, `highest=0`, `batch_size=0`"
    assert in_options(said, context("tune"), []) == (
        "`--trials 0`, `--weights none`, `highest=0`, `--batch-size 0`"
    )
    assert in_options(said, context("find-lr"), []).endswith("`--highest 0`, `--batch-size 0`")
    assert in_options(said, context("evaluate"), []) == (
        "`max_trials=0`, `weights=None`, `highest=0`, `--batch-size 0`"
    )


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("stages[0].learning_rate: 0.003 there, 0.004", "--stages, stage 1, learning_rate: 0.003"),
        ("arguments.alpha: 0.35 there, 0.36", "--set alpha: 0.35 there"),
        ('arguments.name: "A" there, "B"', "--model: "),
        ("arguments.hidden: 0 entries there, 1", "--hidden: 0 entries there"),
        ("arguments.image_size[0]: 64 there, 96", "--image-size: 64 there"),
        ("arguments.seed: 0 there, 1", "--seed: 0 there"),
        ("early_stopping.patience: 3 there, 4", "--early-stopping, patience: 3"),
        ("train.examples: 3 there, 4", "--data, examples: 3"),
        ('validation.sha256: "3" there, "4"', "--validation-data, sha256: "),
        ('precision: "float32" there, "mixed_float16"', "--precision: "),
        ("trained before: null there, 4", "trained before: null"),
        ("unheard[0].of: null there, 4", "unheard[0].of: null"),
        ('cache.dtype: "float32" there, "float16"', '--cache-dtype: "float32" there'),
        ("cache.views: 0 there, 4", "--cached-views: 0 there"),
        ("finish.refit: true there, false", "--refit: true there"),
    ],
)
def test_plans_differ_in_options(said, expected):
    message = (
        f"`run_dir='r'` belongs to another plan: x: 1 there, 2 here; {said} here. "
        "Pass another run_dir, or the same settings."
    )
    found = in_options(message, context("fit"), [])
    assert f"; {expected}" in found
    assert "Pass another --run-dir, --fresh to start a new run next to it, or the same" in found
    assert "--fresh" not in in_options(message, context("tune"), [])


def test_what_was_typed_is_repeated_as_it_was_typed():
    run = "batch_size=32"
    assert in_options(f"`{run}` holds no run, batch_size=4", context("fit"), [run]) == (
        f"`{run}` holds no run, --batch-size 4"
    )
    assert (
        in_options("`run_dir='my_run'`: pass", context("fit"), ["my_run"])
        == "`--run-dir my_run`: pass"
    )
    setting = context("fit", "--set", "alpha=[1]")
    assert in_options("`alpha=[1]`: pass", setting, ["alpha=[1]"]) == "`--set alpha=[1]`: pass"


def test_no_message_of_an_error_keeps_pythons_name_of_an_option():
    """Checks all texts after `raise`, with a 7 for each inserted value."""
    left = []
    for command in ("fit", "tune", "find-lr"):
        made = context(command)
        names = [one.name for one in made.command.params if "_" in one.name]
        for path in [*(ROOT / "kft").rglob("*.py"), *(ROOT / "recipes").rglob("*.py")]:
            for text in raised(path):
                told = re.sub(r"`?fit\(run_dir=\.\.\.\)`?", "", in_options(text, made, []))
                left += [(path.name, told) for name in names if re.search(rf"\b{name}\b", told)]
    assert left == []


def raised(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            said = node.exc.args[0]
            parts = said.values if isinstance(said, ast.JoinedStr) else [said]
            if all(isinstance(part, (ast.Constant, ast.FormattedValue)) for part in parts):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "7" for part in parts
                )


@pytest.fixture
def cli(cli):
    """Return a function that returns only exit code and errors."""

    def call(*arguments):
        code, _, said = cli(*arguments)
        return code, said

    return call


def test_a_table_without_the_column_says_which_option_names_it(cli, tmp_path):
    (tmp_path / "t.csv").write_text("words,label\none,a\ntwo,b\n")
    code, said = cli(
        "fit", "BertRecipe", "--model", "x", "--data", tmp_path / "t.csv", "--run-dir", "r"
    )
    assert code == 2
    assert said.startswith("kft: ")
    assert "--text-column ..." in said
    assert "text_column" not in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("fits",), "kft: No such command 'fits'. Did you mean 'fit'? See kft --help.\n"),
        (("fit",), "kft: Missing argument 'RECIPE'. See kft fit --help.\n"),
        (("plan", "X", "--task", "nix"), r"kft: Invalid value for '--task': 'nix' is not one of "),
        (("plan", "X", "--seeds", "1"), "kft: No such option: --seeds"),
        (
            ("fit", "X", "--epochs", "3"),
            "kft: No such option: --epochs, since each stage has its own",
        ),
        (
            ("find-lr", "X", "--lr", "1"),
            "kft: No such option: --lr, since each stage has its own: ",
        ),
        (("select", "X", "--epochs", "3"), "kft: No such option: --epochs"),
        (
            ("fit", "X", "--alpha", "0.35"),
            "kft: No such option: --alpha. An argument of the recipe or its task that has no option is "
            "passed as --set alpha=VALUE. See kft fit --help.",
        ),
        (
            ("fit", "X", "--top-rows", "3"),
            "kft: No such option: --top-rows. An argument of the recipe",
        ),
        (
            ("fit", "X", "--batchsize", "3"),
            "kft: No such option: --batchsize (Possible options: --batch-size,",
        ),
        (("runs", "X", "--alpha", "3"), "kft: No such option: --alpha"),
        (("plan", "X", "--num-classes", "0"), "kft: Invalid value for '--num-classes': "),
    ],
)
def test_a_slip_on_the_command_line_is_one_line_too(cli, words, expected):
    code, said = cli(*words)
    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith(expected)


def test_only_a_command_with_a_recipe_points_to_set(cli):
    assert "--set" not in cli("runs", "X", "--alpha", "3")[1]
    assert "--set" not in cli("select", "X", "--epochs", "3")[1]


def test_arguments_are_listed_as_set_takes_them(cli):
    said = cli("plan", "MobileNetRecipe", "--set", "alfa=1")[1]
    assert "no argument 'alfa' (did you mean alpha?); it has these: 'adapters', 'alpha', " in said
    assert "'image_size'" in said


def test_only_a_command_with_stages_points_to_them(cli):
    assert "--stages" in cli("plan", "X", "--learning-rate", "1")[1]
    assert "--stages" not in cli("select", "X", "--learning-rate", "1")[1]
    assert "--stages" not in cli("fit", "X", "--epochs-of-mine", "1")[1]


def test_what_was_typed_sends_no_commands_to_the_terminal(cli):
    code, said = cli("plan", "a\nb:\x1b[2J\ud800")
    assert (code, said.count("\n")) == (2, 1)
    assert "\x1b" not in said


def test_an_interrupt_ends_without_a_traceback(tmp_path):
    code = (
        "import kft.cli.build as b\n"
        "def stop(name): raise KeyboardInterrupt\n"
        "b.find_recipe = stop\n"
        "import sys; sys.argv = ['kft', 'plan', 'VGG16Recipe']; from kft.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "")
