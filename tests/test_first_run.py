"""docs/first_run.md: its commands run in order on generated messages."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.recipes import tiny_bert

pytestmark = pytest.mark.once

PAGE = (Path(__file__).parent.parent / "docs" / "first_run.md").read_text(encoding="utf-8")
MODEL = "hf://sentence-transformers/all-MiniLM-L6-v2"
FETCHED = ("curl ", "unzip ")  # commands that need a network
HAM, SPAM = ("good", "the film was not bad"), ("awful", "very awful café")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def messages(tmp_path, monkeypatch):
    """Return a folder with the file that would be downloaded, of 140 messages."""
    lines = [
        f"{'spam' if n % 5 == 0 else 'ham'}\t{(SPAM if n % 5 == 0 else HAM)[n % 2]} {n}"
        for n in range(140)
    ]
    (tmp_path / "SMSSpamCollection").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_and_the_python_of_the_page_run_in_order(messages, cli, monkeypatch):
    preset = tiny_bert.save_preset(messages / "bert")
    for line in "".join(blocks("bash")).splitlines():
        if line.startswith("kft "):
            code, _, errors = cli(*shlex.split(line.replace(MODEL, str(preset)))[1:])
            assert code == 0, (line, errors)
        elif not line.startswith(FETCHED):
            subprocess.run(["bash", "-c", line], check=True)
    assert len((messages / "labelled.tsv").read_text(encoding="utf-8").splitlines()) == 101
    assert len((messages / "answers.csv").read_text(encoding="utf-8").splitlines()) == 41
    clients = messages / "serving" / "spam" / "clients"
    for name in re.findall(r"serving/spam/clients/(\S+)", PAGE):
        assert (clients / name).is_file()
    before = (messages / "runs" / "spam" / "history.json").stat().st_mtime_ns
    (program,) = blocks("python")
    exec(compile(program.replace(MODEL, str(preset)), "first_run.md", "exec"), {})
    assert (messages / "runs" / "spam" / "history.json").stat().st_mtime_ns == before
