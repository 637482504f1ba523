"""A file that cannot be written is refused before the work whose outcome it was to hold."""

import pytest
from matplotlib.figure import Figure

from kft.arguments import shortened
from kft.cli.outputs import save_figure

pytestmark = pytest.mark.once

RECIPE = "tests.tiny_recipe:TinyRecipe"
COMMANDS = {
    "find-lr --plot": ("find-lr", RECIPE, "--data", "nowhere", "--plot"),
    "find-lr --write-stages": ("find-lr", RECIPE, "--data", "nowhere", "--write-stages"),
    "evaluate --plot": ("evaluate", "nowhere", "--data", "nowhere", "--plot"),
    "report --output": ("report", "nowhere", "--output"),
    "predict --output": ("predict", "nowhere", __file__, "--output"),
}
OF_FORMATS = {name: command for name, command in COMMANDS.items() if "report" not in name}
del OF_FORMATS["find-lr --write-stages"]


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("made.csv", "is not a file"),
        ("file/x.csv", "is not a directory"),
        ("x" * 300 + ".csv", "File name too long"),
        ("x" * 300 + "/x.csv", "File name too long"),
        ("link/x.csv", "link"),
    ],
    ids=["directory", "below a file", "long", "below a long one", "below a link to itself"],
)
def test_what_is_in_the_way_is_said_at_once(cli, tmp_path, monkeypatch, command, path, said):
    monkeypatch.chdir(tmp_path)
    path = path if command in (COMMANDS["predict --output"],) else path.replace("csv", "png")
    (tmp_path / "made.csv").mkdir()
    (tmp_path / "made.png").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("link")
    code, out, err = cli(*command, path)
    assert (code, out) == (2, "")
    assert err.startswith(f"kft: {command[-1]} {shortened(path)}: ")
    assert said.replace("is not a file", "not a file") in err


@pytest.mark.parametrize(
    "command", [("predict", "nowhere", __file__), ("generate", "nowhere")], ids=lambda one: one[0]
)
def test_answers_are_printed_or_written_and_not_both(cli, tmp_path, command):
    prompt = ("--prompt", "once") if command[0] == "generate" else ()
    code, out, err = cli(*command, *prompt, "--json", "--output", tmp_path / "a.csv")
    assert (code, out) == (2, "")
    assert "--json prints the answers and --output writes them: pass one of the two." in err


@pytest.mark.parametrize("command", OF_FORMATS.values(), ids=OF_FORMATS)
def test_an_unknown_ending_is_said_at_once(cli, tmp_path, command):
    code, out, err = cli(*command, tmp_path / "outcome.docx")
    assert (code, out) == (2, "")
    assert "the extension determines the format" in err
    assert not list(tmp_path.iterdir())


def test_the_directory_of_a_figure_is_made(tmp_path):
    figure = tmp_path / "drawn" / "outcome.svg"
    save_figure(Figure(), figure)
    assert figure.read_text().startswith("<?xml")
