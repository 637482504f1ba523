"""Log messages of TensorFlow's import are hidden, and all other output is shown."""

import os
import pty
import re
import subprocess
import sys

import pytest
import typer

from kft import library_logs
from kft.backends.configured import configured_backend
from kft.cli import app, main, startup

pytestmark = pytest.mark.once

LIBRARY = """
import os
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n")
os.write(2, b"I0000 00:00:1795865560.682584    8513 port.cc:153] oneDNN custom operations are on.\\n")
os.write(2, b"F0000 00:00:1795865560.682584    8513 cpu.cc:1] This CPU lacks AVX.\\n")
"""
ENDS = {
    "returns": ("value = 7", 0, "7"),
    "raises": ("raise ImportError('libcudart is missing')", 1, "ImportError: libcudart is missing"),
    "dies": ("os.abort()", -6, ""),
}


@pytest.fixture
def import_in_a_process(tmp_path):
    """Return a function that imports a stand-in for TensorFlow with or without `quieten`."""

    def run(ends, prepare="from kft.cli import startup; startup.quieten()", says=LIBRARY):
        (tmp_path / "tensorflow").mkdir(exist_ok=True)
        (tmp_path / "tensorflow" / "__init__.py").write_text(says + ends)
        code = (
            f"{prepare}\nimport importlib.util; importlib.util.find_spec('tensorflow')\n"
            "import tensorflow, sys; print(tensorflow.value); print('after', file=sys.stderr)"
        )
        path = os.pathsep.join((str(tmp_path), os.getcwd()))
        environment = {**os.environ, "PYTHONPATH": path}
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, text=True, capture_output=True
        )

    return run


@pytest.mark.parametrize(("ends", "code", "said"), ENDS.values(), ids=ENDS)
def test_only_what_is_not_logged_as_information_arrives(import_in_a_process, ends, code, said):
    done = import_in_a_process(ends)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert "F0000 00:00:1795865560.682584    8513 cpu.cc:1] This CPU lacks AVX." in done.stderr
    assert "absl::" not in done.stderr
    assert "oneDNN" not in done.stderr
    assert ("after\n" in done.stderr) == (code == 0)


def test_without_it_all_arrives(import_in_a_process):
    assert "oneDNN" in import_in_a_process("value = 7", prepare="").stderr


def test_it_works_without_a_standard_error(import_in_a_process):
    prepare = "import os; os.close(2)\nfrom kft.cli import startup; startup.quieten()"
    assert import_in_a_process("value = 7", prepare, says="").stdout == "7\n"


PIECES = """
import sys
import recipes
from tests.recipes import tiny_encoders
make = tiny_encoders._sentence_pieces
tiny_encoders._sentence_pieces = lambda kind, **s: make(kind, normalization_rule_name="identity", **s)
folder = tiny_encoders.save_preset("XLMRoberta", sys.argv[1])
print("begins", file=sys.stderr, flush=True)
recipe = recipes.XLMRobertaRecipe(str(folder), num_classes=2, sequence_length=8)
assert recipe.load(["a film"])["token_ids"].shape == (1, 8)
print("ends", file=sys.stderr, flush=True)
"""


@pytest.mark.parametrize("verbose", [False, True])
def test_sentence_pieces_are_read_without_a_word(tmp_path, verbose):
    """Both when the tokenizer is created, and when its graph first runs and creates it again."""
    prepare = "" if verbose else "from kft.cli import startup; startup.quieten()\n"
    done = subprocess.run(
        [sys.executable, "-c", prepare + PIECES, str(tmp_path / "preset")],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = done.stderr.partition("begins\n")[2].partition("ends\n")[0]
    assert ("normalizer.cc" in said) == verbose


def test_a_line_to_wait_by_is_cleared_and_fits_the_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with startup.waiting("Loading a/run/directory/with/a/long/name ..."):
        shown = capsys.readouterr().err
    assert shown == "Loading a/run/directory/with/"
    assert capsys.readouterr().err == f"\r{' ' * 29}\r"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_terminal_is_told_what_is_waited_for_and_nothing_else_is(tmp_path, is_terminal):
    (tmp_path / "keras").mkdir()
    (tmp_path / "keras" / "__init__.py").write_text("")
    code = "from kft.cli import startup; startup.quieten(); import keras; print('done')"
    path = os.pathsep.join((str(tmp_path), os.getcwd()))
    ours, theirs = pty.openpty() if is_terminal else os.pipe()
    words = [sys.executable, "-c", code]
    try:
        done = subprocess.run(
            words, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=theirs
        )
        os.write(theirs, b"|")
        said = b""
        while not said.endswith(b"|"):  # a terminal returns partial output
            said += os.read(ours, 1000)
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.stdout == b"done\n"
    line = b"Starting Keras ..."
    assert said == ((line + b"\r" + b" " * len(line) + b"\r|") if is_terminal else b"|")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("fit", "MobilNetRecipe", "--data", "d", "--run-dir", "r"), "mean MobileNetRecipe?"),
        (("plan", "nowhere_at_all:MyRecipe"), "there is no module 'nowhere_at_all'"),
        (("select", "VGGRecipe,weights=none", "--data", "d"), "'VGGRecipe' is not a recipe"),
        (("tune", "VGG16Recipe", "--data", "./gone", "--run-dir", "r"), "no such file or folder"),
        (("find-lr", "VGG16Recipe", "--data", "gone.csv"), "gone.csv: no such file or folder"),
        (
            ("plan", "VGG16Recipe", "--stages", "gone.yaml"),
            "Cannot read the stages file 'gone.yaml': No such file or directory",
        ),
        (
            ("evaluate", "gone", "--data", "d"),
            "`gone` is not a finished run: there is no such directory. Pass the run directory of a fit.",
        ),
        (("predict", "gone", "-"), "`gone` is not a finished run"),
        (("predict", "gone", "a.jpg"), "a.jpg: no such file or folder"),
        (("predict", "gone", "hello"), "hello: no such file or folder; a text itself goes into"),
        (("runs", "gone"), "gone: no such directory"),
        (("report", "gone"), "`gone` is not a finished run"),
        (("export", "gone", "base"), "`gone` is not a finished run"),
        (("report", ".", "--recipe", "x y"), "--recipe 'x y' is not a name"),
    ],
)
def test_a_wrong_name_is_refused_before_a_framework_is_imported(tmp_path, words, said):
    code = (
        "import sys; from kft.cli import main\n"
        f"sys.argv = ['kft', *{words!r}]\n"
        "try: main()\n"
        "finally: print([m for m in ('tensorflow', 'keras', 'torch', 'jax') if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.path.realpath(".")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, text=True, capture_output=True
    )
    assert (done.returncode, done.stdout) == (2, "[]\n"), done.stderr
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_imports_no_framework_and_verbose_is_an_option():
    code = (
        "import sys; from kft.cli import main\n"
        "for words in (['-v', 'fit', '--help'], ['tune', '--help'], ['--help']):\n"
        "    sys.argv = ['kft', *words]\n"
        "    try: main()\n"
        "    except SystemExit: pass\n"
        "print([m for m in ('tensorflow', 'keras', 'torch', 'jax') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "--verbose" in done.stdout


def test_retries_of_a_download_are_not_logged(monkeypatch):
    monkeypatch.delenv("HF_HUB_VERBOSITY", raising=False)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setattr(library_logs, "_aside", library_logs._aside)
    startup.quieten()
    assert os.environ.pop("HF_HUB_VERBOSITY") == "error"


FIT = ("fit", "VGG16Recipe", "--data", ".", "--run-dir", "r")


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("pytorch", FIT, "Keras has no backend 'pytorch' (did you mean torch?): set KERAS_BACKEND"),
        ("jaxx", ("plan", "VGG16Recipe"), "to jax, tensorflow or torch."),
        (
            "tensorflow",
            (*FIT, "--processes", "2"),
            "--processes is for PyTorch, and the backend is",
        ),
        ("", (*FIT, "--processes", "2"), "the backend is tensorflow, which uses all devices"),
    ],
)
def test_a_backend_that_does_not_suit_is_refused_at_once(tmp_path, name, words, said):
    environment = os.environ | {"KERAS_BACKEND": name, "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [sys.executable, "-m", "kft", *words],
        cwd=tmp_path, env=environment, text=True, capture_output=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_file_of_keras_sets_the_backend(tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert configured_backend() == "tensorflow"
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    assert configured_backend() == "jax"
    (tmp_path / "keras.json").write_text("[1]")
    assert configured_backend() == "tensorflow"


def test_the_list_of_commands_has_whole_sentences(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", ["kft"])
    with pytest.raises(SystemExit):
        main()
    commands = capsys.readouterr().out.partition("Commands:\n")[2].partition("\n\n")[0]
    assert len(commands.splitlines()) == len(typer.main.get_command(app).commands)
    assert all(re.fullmatch(r"  [a-z-]+ +[A-Z].*[^.]\.", line) for line in commands.splitlines())
