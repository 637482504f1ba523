"""Shared exports, each built once; tests that damage one work on a copy."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from builds import MADE, REFUSED
from processes import HERE, run

from tests import warm


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Return the folder of the exports, and the reasons for which others were refused."""
    folder = tmp_path_factory.mktemp("exports")
    servers = f"--servers={json.dumps(warm.servers())}"
    done = run(str(HERE / "builds.py"), str(folder), *MADE, *REFUSED, servers)
    outcomes = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return folder, {outcome["name"]: outcome["refused"] for outcome in outcomes}


@pytest.fixture
def made(exports) -> Callable[[str], Path]:
    """Return a function from a name to the version directory of an export that passed."""
    folder, refused = exports

    def find(name: str) -> Path:
        assert name not in refused, refused[name]
        return folder / name / "1"

    return find


@pytest.fixture
def refused(exports) -> dict[str, str]:
    return exports[1]
