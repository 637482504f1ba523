"""The command line as users see it: files in, tables or JSON out, errors on one line."""

import json
import re
import resource
import shlex
import subprocess
import sys

import keras
import pytest
import typer

import kft
from kft.cli import app
from kft.export import versions, warmup
from kft.stages.stage import read_stages
from tests.tiny_recipe import TinyRecipe

COMMANDS = typer.main.get_command(app).commands
pytestmark = pytest.mark.once

RECIPE = "tests.tiny_recipe:TinyRecipe"
OWN = ("--recipe", RECIPE)  # the recipe that a run names is not imported


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    """Return a finished run, created by the command."""
    directory = tmp_path_factory.mktemp("runs") / "tiny"
    arguments = ["fit", RECIPE, "--data", photos, "--run-dir", directory, "--batch-size", "4"]
    code = "import sys; from kft.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert "On the validation data:" in done.stdout
    random = "kft: the model starts from random weights: nothing is pretrained.\n"
    assert done.stderr == random, "nothing that TensorFlow logs as it starts"
    assert "\x1b[" not in done.stdout, "escape codes in a file or pipe"
    return directory


def test_help_comes_in_under_a_second():
    """Measured in CPU time, since wall time depends on the load of the machine."""
    code = "import sys; sys.argv = ['kft', '--help']; from kft.cli import main; main()"
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 1, f"kft --help took {min(seconds):.2f} s"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_says_what_it_does(cli, command):
    code, _, _ = cli(command, "--help")
    assert code == 0

    parameters = COMMANDS[command].params
    assert [p.name for p in parameters if not getattr(p, "help", "")] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_every_option_in_full_on_a_narrow_terminal(cli, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "60")
    _, shown, _ = cli(command, "--help")
    options = [max(one.opts, key=len) for one in COMMANDS[command].params]
    assert [one for one in options if one.startswith("-") and one not in shown] == []
    assert "\u2026" not in shown


def test_the_version_is_the_packages(cli):
    assert cli("--version")[1].strip() == kft.__version__


def test_no_color_is_respected(monkeypatch):
    code = "import sys; sys.argv = ['kft', '--help']; from kft.cli import main; main()"
    environment = {"PATH": "/usr/bin:/bin", "NO_COLOR": "1", "FORCE_COLOR": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert not re.search(rb"\x1b\[[0-9;]*3[0-7]m", done.stdout), "a colour despite NO_COLOR"


def test_fit_leaves_a_run_that_loads(run):
    assert (run / "report.html").is_file()
    recipe = kft.load(run, recipe=TinyRecipe)
    assert recipe.classes == ("blue", "red")
    assert type(recipe).__name__ == "TinyRecipe"


def test_fit_again_takes_the_finished_run(cli, run, photos):
    before = (run / "weights.safetensors").read_bytes()
    arguments = ("fit", RECIPE, "--data", photos, "--run-dir", run, "--batch-size", "4")
    for quiet in ((), ("-q",)):
        code, out, err = cli(*arguments, *quiet)
        assert code == 0, err
        assert out.count(f"{run} is finished: loaded, not trained again.\n") == 1
    code, out, err = cli(*arguments, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["run_dir"] == str(run)
    assert found["report"] == str(run / "report.html")
    assert found["best"]["stage"] in (1, 2)
    assert 0 <= found["figures"]["accuracy"]["value"] <= 1
    assert (run / "weights.safetensors").read_bytes() == before


def test_fit_ends_with_the_commands_that_use_the_run(cli, run, photos, tmp_path):
    _, out, _ = cli("fit", RECIPE, "--data", photos, "--run-dir", run, "--batch-size", "4")
    lines = out.partition("\nNext:\n")[2].splitlines()
    commands = [shlex.split(line.partition(" # ")[0])[1:] for line in lines]
    places = {"INPUTS": photos, "TEST": photos, "SERVING": tmp_path / "serving"}
    assert [one[0] for one in commands] == ["predict", "evaluate", "serve", "export"]
    for command in commands:
        checked = ["--help"] if command[0] == "serve" else []  # which would not end
        code, out, err = cli(*(places.get(word, word) for word in command), *checked)
        assert code == 0, err
    assert (tmp_path / "serving" / "1" / "saved_model.pb").is_file()


def test_fit_refuses_the_run_directory_of_another_plan(cli, run, photos):
    arguments = ("fit", RECIPE, "--data", photos, "--run-dir", run, "--batch-size", "5")
    code, _, err = cli(*arguments)
    assert code == 2
    assert "--batch-size: 4 there, 5 here" in err
    assert "--fresh" in err
    code, _, err = cli(*arguments[:-1], "4", "--set", "label_smoothing=0.5", "--seed", "1")
    assert code == 2
    assert "--label-smoothing: 0.0 there, 0.5 here" in err
    assert "--seed: 0 there, 1 here" in err
    assert "arguments." not in err


def test_fit_takes_settings_stages_and_validation_data(cli, photos, tmp_path):
    stages = tmp_path / "stages.yaml"
    stages.write_text("- {unfreeze: 0, epochs: 1, learning_rate: 0.01, name: just this}\n")
    code, out, err = cli(
        *("fit", RECIPE, "--data", photos, "--validation-data", photos),
        *("--run-dir", tmp_path / "run", "--stages", stages, "--image-size", "8x12"),
        *("--hidden", "6,4", "--dropout", "0.5", "--set", "label_smoothing=0.1", "--seed", "3"),
        *("--early-stopping", "0", "--optimizer", "sgd", "--clipnorm", "1", "--balance", "weights"),
    )
    assert code == 0, err
    assert "just this" in out
    recipe = kft.load(tmp_path / "run", recipe=TinyRecipe)
    assert recipe.image_size == (8, 12)
    assert recipe.hidden == (6, 4)
    assert (recipe.dropout, recipe.label_smoothing, recipe.seed) == (0.5, 0.1, 3)


def test_evaluate_prints_a_table_or_json(cli, run, photos):
    code, table, _ = cli("evaluate", run, *OWN, "--data", photos)
    assert code == 0
    assert "accuracy" in table.lower()
    code, out, _ = cli("evaluate", run, *OWN, "--data", photos, "--json")
    figures = json.loads(out)
    assert 0 <= figures["accuracy"] <= 1
    assert figures["accuracy"] == pytest.approx(
        kft.load(run, recipe=TinyRecipe).evaluate(photos).accuracy
    )


def test_evaluate_perturbs_and_draws(cli, run, photos, tmp_path):
    perturb = ("--perturb", "jpeg,fgsm", "--plot", tmp_path / "outcome.svg", "--json")
    code, out, err = cli("evaluate", run, *OWN, "--data", photos, *perturb)
    assert code == 0, err
    assert list(json.loads(out)["perturbed"]) == ["jpeg", "fgsm"]
    assert "<svg" in (tmp_path / "outcome.svg").read_text()


def test_report_shows_the_page_or_writes_it_about_other_data_or_with_a_source(
    cli, run, photos, tmp_path
):
    code, out, err = cli("report", run)
    assert (code, out.strip()) == (0, str(run / "report.html")), err
    before = (run / "report.html").read_text()
    page = tmp_path / "other.html"
    code, out, err = cli("report", run, *OWN, "--data", photos, "--output", page)
    assert (code, out.strip()) == (0, str(page)), err
    for words in ("How far the weights moved", "Time and memory", "Stage plan", "20 examples"):
        assert words in page.read_text()
    assert "Forgetting" not in page.read_text()
    code, out, err = cli("report", run, *OWN, "--source", photos, "--output", page)
    assert (code, out.strip()) == (0, str(page)), err
    assert "Forgetting" in page.read_text()
    code, out, err = cli("report", run, *OWN, "--data", photos)
    assert (code, out.strip()) == (0, str(run / "evaluation.html")), err
    assert "20 examples" in (run / "evaluation.html").read_text()
    assert (run / "report.html").read_text() == before


def test_predict_prints_a_table_or_json(cli, run, photos):
    files = [photos / "blue" / "0.png", photos / "red" / "0.png"]
    code, table, _ = cli("predict", run, *OWN, *files)
    assert code == 0
    assert str(files[0]) in table
    code, out, _ = cli("predict", run, *OWN, *files, "--json")
    answers = json.loads(out)
    assert answers["input"] == [str(file) for file in files]
    assert set(answers["label"]) <= {"blue", "red"}
    assert sum(answers["scores"][0].values()) == pytest.approx(1, abs=1e-5)


def test_plan_prints_the_stages_without_weights_or_data(cli):
    code, out, err = cli("plan", RECIPE, "--num-classes", "3")
    assert code == 0, err
    assert "all" in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            (),
            "assumes 2 classes (--num-classes) and the epochs of a few hundred",
        ),
        (("--num-classes", "3"), "assumes the epochs of a few hundred examples (--stages)"),
        (("--set", "classes=[a, b, c]"), "assumes the epochs of a few hundred examples (--stages)"),
        (("--task", "regression"), "assumes 2 numbers (--num-classes) and"),
        (("--task", "segmentation"), "assumes the classes background, thing (--set classes=[...])"),
    ],
)
def test_plan_says_first_what_it_assumes(cli, options, said):
    code, out, err = cli("plan", RECIPE, *options)
    assert code == 0, err
    assert f"Without data, a plan {said}" in out.splitlines()[0]


def test_a_plan_of_known_stages_and_classes_assumes_nothing(cli, tmp_path):
    stages = tmp_path / "stages.yaml"
    stages.write_text("- {unfreeze: 0, epochs: 1, learning_rate: 0.5}\n")
    code, out, err = cli("plan", RECIPE, "--num-classes", "3", "--stages", stages)
    assert code == 0, err
    assert "assumes" not in out


def test_find_lr_prints_the_rates_and_writes_what_fit_reads(cli, photos, tmp_path):
    stages = tmp_path / "made" / "stages.yaml"
    files = ("--write-stages", stages, "--plot", tmp_path / "rates.png")
    quick = ("--steps", "10", "--batch-size", "8", "--lowest", "1e-4")
    code, out, err = cli("find-lr", RECIPE, "--data", photos, *quick, *files)
    assert code == 0, err
    assert "valley" in out
    assert (tmp_path / "rates.png").read_bytes().startswith(b"\x89PNG")
    assert f"Stages: {stages}, for --batch-size 8\n" in err
    code, out, err = cli("find-lr", RECIPE, "--data", photos, *quick, "--json")
    found = [one["stage"]["unfreeze"] for one in json.loads(out)["stages"]]
    assert [stage.unfreeze for stage in read_stages(stages)] == found


def test_export_makes_a_version_that_serves_and_says_how_to_ask_it(cli, run, photos, tmp_path):
    serving, files = tmp_path / "serving", [photos / "red" / f"{i}.png" for i in (1, 2, 3)]
    (serving / "1" / "assets.extra").mkdir(parents=True)
    (serving / "1" / versions.MANIFEST).write_text("{}")
    examples = [word for file in files for word in ("--examples", file)]
    code, out, err = cli(
        "export", run, serving, *OWN, *examples, "--batch-size", "3", "--prune", "1", "--clients"
    )
    assert code == 0, err
    assert out == f"{serving / '2'}\n"
    assert sorted(path.name for path in serving.iterdir()) == ["2", "clients"]
    assert (serving / "2" / "saved_model.pb").is_file()
    for path in (serving / "clients").iterdir():
        assert f"{path}  " in err
    assert "Traceback" not in err
    signature, asked, _ = warmup.read_log(next(warmup.read(serving / "2")))
    assert signature == "serving_default"
    assert list(asked["inputs"]) == [file.read_bytes() for file in files]


FIT = ("fit", RECIPE, "--data", "photos", "--run-dir", "run")
MISTAKES = {
    "no such recipe": (("plan", "ResNextRecipe"), "recipes has AlbertRecipe, ApplicationRecipe"),
    "no such module": (("plan", "mine:Recipe"), "there is no module 'mine'"),
    "no recipe": (("plan", "tests.tiny_recipe:tiny_cnn"), "is not a kft.Recipe"),
    "no such data": ((*FIT[:3], "photos/", *FIT[4:]), "photos/: no such file or folder"),
    "no such setting": (("plan", RECIPE, "--set", "alfa=1"), "has no argument 'alfa'; it has"),
    "no setting": (("plan", RECIPE, "--set", "alpha"), "write NAME=VALUE"),
    "option of another recipe": (("plan", "BertRecipe", "--image-size", "8"), "--image-size"),
    "size in words": (("plan", RECIPE, "--image-size", "big"), "write 160, or 160x224"),
    "size too small": (("plan", RECIPE, "--image-size", "4"), "too small"),
    "width in words": (("plan", RECIPE, "--hidden", "wide"), "write widths"),
    "missing preset": (("plan", "BertRecipe"), "needs 'preset': pass --model"),
    "no such stages": (("plan", RECIPE, "--stages", "none.yaml"), "Cannot read the stages file"),
    "run below a file": (
        ("fit", RECIPE, "--data", "photos", "--run-dir", "/dev/null/run"),
        "--run-dir /dev/null/run: Not a directory; pass the path of a new directory",
    ),
    "run with a long name": (
        ("tune", RECIPE, "--data", "photos", "--run-dir", "x" * 300),
        "File name too long; pass the path of a new directory",
    ),
    "run that is a device": (
        ("fit", RECIPE, "--data", "photos", "--run-dir", "/dev/null"),
        "--run-dir /dev/null: not a directory",
    ),
    "recipe that is a path": (("plan", ".:x"), "RECIPE '.:x' is not a name"),
    "recipe without a class": (("plan", "tests.tiny_recipe:"), "is not a name"),
    "recipe without a module": (("plan", ":TinyRecipe"), "RECIPE ':TinyRecipe' is not a name"),
    "recipe with a blank": (("plan", "a b:c"), "RECIPE 'a b:c' is not a name"),
    "base class": (
        ("plan", "kft.recipe.recipe:Recipe"),
        "'Recipe' is only a base class of recipes",
    ),
    "list for a number": (("plan", "MobileNetRecipe", "--set", "alpha=[1]"), "--set alpha=[1]"),
    "given twice": (("plan", RECIPE, "--dropout", "0", "--set", "dropout=1"), "is given twice"),
    "aliases": (("plan", RECIPE, "--set", "classes=[&a b, *a]"), "anchors and aliases"),
    "digits of another script": (("plan", RECIPE, "--image-size", "\uff14\uff10"), "write 160"),
    "thousands of digits": (("plan", RECIPE, "--image-size", "9" * 5000), "write 160, or 160x224"),
    "an infinite decay": (
        ("plan", RECIPE, "--weight-decay", "inf"),
        "`--weight-decay inf`: pass a",
    ),
    "no number": (("plan", RECIPE, "--dropout", "nan"), "`--dropout nan`: pass a finite number"),
    "a norm that is none": (
        (*FIT, "--optimizer", "sgd", "--clipnorm", "nan"),
        "--clipnorm nan: pass a finite number above 0",
    ),
    "accumulation without an optimizer": (
        (*FIT, "--clipnorm", "1", "--gradient-accumulation-steps", "2"),
        "--clipnorm 1.0 --gradient-accumulation-steps 2: name the optimizer too",
    ),
    "accumulation of clipped gradients": (
        (*FIT, "--optimizer", "sgd", "--clipnorm", "1", "--gradient-accumulation-steps", "2"),
        "--clipnorm 1.0 --gradient-accumulation-steps 2: Keras would clip each part",
    ),
    "no such run": (("evaluate", "nowhere", "--data", "photos"), "is not a finished run"),
    "nothing to predict": (("predict", "nowhere"), "nothing to predict"),
}


@pytest.mark.parametrize(("arguments", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_clear_line_and_exit_code_2(
    cli, arguments, expected, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, out, err = cli(*arguments)
    assert code == 2
    assert err.startswith("kft: ")
    assert expected in err
    assert err.count("\n") == 1
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_missing_image_is_named(cli, run):
    code, _, err = cli("predict", run, *OWN, "gone.jpg")
    assert (code, err) == (2, "kft: gone.jpg: no such file or folder\n")


def test_a_text_for_an_image_recipe_is_refused(cli, run):
    code, _, err = cli("predict", run, *OWN, "--text", "hello")
    assert code == 2
    assert "answers images" in err


def test_skipped_files_are_listed(cli, photos, tmp_path):
    for name in ("blue", "red"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for index in range(4):
            image = photos / name / f"{index}.png"
            (tmp_path / "data" / name / image.name).write_bytes(image.read_bytes())
    (tmp_path / "data" / "red" / "broken.png").write_bytes(b"not an image")
    fit = ("fit", RECIPE, "--data", tmp_path / "data", "--run-dir", tmp_path / "run", "-q")
    code, _, err = cli(*fit)
    assert code == 2
    assert "broken.png" in err
    assert not (tmp_path / "run").exists()
    code, _, err = cli(*fit, "--on-bad-example", "skip")
    assert code == 0, err
    assert "skipped" in err
    assert "broken.png" in err


def test_an_absent_backend_is_one_clear_line():
    code = (
        "import sys; sys.modules['jax'] = None\n"
        "from kft.cli import main; sys.argv = ['kft', 'plan', 'ResNetRecipe']; main()"
    )
    environment = {"PATH": "/usr/bin:/bin", "KERAS_BACKEND": "jax"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("kft: Keras' backend needs `jax`")


def test_precision_and_distribution_are_passed_on(cli, photos, tmp_path):
    fit = (
        "fit",
        RECIPE,
        "--data",
        photos,
        "--run-dir",
        tmp_path / "run",
        "-q",
        "--batch-size",
        "8",
    )
    if keras.backend.backend() != "jax":
        code, _, err = cli(*fit, "--distribution", "model_parallel")
        assert (code, "on JAX alone" in err) == (2, True)
    code, _, err = cli(*fit, "--distribution", "none", "--precision", "mixed_bfloat16")
    assert code == 0, err
    plan = json.loads((tmp_path / "run" / "recipe.json").read_text())["plan"]
    assert plan["precision"] == "mixed_bfloat16"
