"""`kft export` on existing exports: --check, --prune, and combinations of options."""

import shutil
import sys

import pytest

from kft.cli import main
from kft.export import versions

pytestmark = pytest.mark.once


@pytest.fixture
def export(monkeypatch, capsys):
    """Return a function that calls `kft export` in this process and returns exit code, output and errors."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["kft", "export", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return call


@pytest.fixture
def base(made, tmp_path):
    """Return a directory with versions 1, 2 and 10 of a valid export."""
    for number in (1, 2, 10):
        shutil.copytree(made("image"), tmp_path / "base" / str(number))
    return tmp_path / "base"


def test_check_proves_the_version_named_or_the_newest(export, base):
    (base / "2" / "variables" / "variables.index").unlink()
    code, out, _ = export("--check", base / "1")
    assert (code, out) == (0, f"{base / '1'} serves.\n")
    code, out, _ = export(base, "--check")
    assert (code, out) == (0, f"{base / '10'} serves.\n")
    code, out, _ = export("--check", base / "2")
    assert code == 2
    assert out.splitlines() == [
        f"{base / '2'} does not serve:",
        "- variables/variables.index is missing",
    ]


def test_a_damaged_version_has_the_same_exit_code_in_each_command(export, cli, base, tmp_path):
    (base / "10" / "variables" / "variables.index").write_bytes(b"damaged")
    assert export("--check", base)[0] == 2
    assert cli("deploy", str(base), "--to", "docker", "--output", str(tmp_path / "out"))[0] == 2


def test_check_refuses_a_version_that_was_copied_half(export, base):
    (base / "11").mkdir()
    code, out, _ = export("--check", base)
    assert code == 2
    assert f"{base / '11'} does not serve" in out
    assert "not copied whole" in out


def test_prune_keeps_the_newest_versions(export, base):
    code, out, err = export(base, "--prune", 2)
    assert (code, out, err) == (0, "", f"removed {base / '1'}\n")
    assert list(versions.find_versions(base)) == [2, 10]
    assert export("--prune", 1, base)[0] == 0
    assert list(versions.find_versions(base)) == [10]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "an export takes RUN and DIR, but was given none"),
        (("run",), "an export takes RUN and DIR, but was given run."),
        (("--check",), "--check takes DIR, a directory of versions, but was given none"),
        (("--check", "run", "base"), "but was given run and base"),
        (("--check", "base", "--prune", "2"), "--prune goes with an export, but --check makes"),
        (("--check", "base", "--batch-size", "2"), "--batch-size goes with an export"),
        (("--prune", "2"), "--prune without RUN takes DIR"),
        (("--prune", "2", "base", "--format", "onnx"), "--format goes with an export"),
        (("--check", "nowhere"), "'nowhere' is not a directory"),
        (("--check", "empty"), "'empty' has no version"),
        (("--prune", "2", "nowhere"), "'nowhere' is not a directory"),
        (("run", "base", "--examples", "gone.jpg"), "--examples gone.jpg: No such file"),
    ],
)
def test_a_mistake_is_one_clear_line(export, tmp_path, monkeypatch, arguments, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    code, out, err = export(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("kft: ")
    assert expected in err
    assert err.count("\n") == 1


def test_pruning_to_none_is_refused(export, base):
    code, _, err = export(base, "--prune", 0)
    assert code == 2
    assert "--prune" in err
    assert len(versions.find_versions(base)) == 3
