"""The files that GitHub, pre-commit and people who cite kft read."""

from pathlib import Path

import pytest
import yaml

import kft
from tests.run_all import CHECKS

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*_*.yml"))


def test_the_citation_names_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == kft.__version__
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_an_issue_form_is_one(form):
    """GitHub ignores a form without these keys, or with two fields of one name."""
    content = yaml.safe_load(form.read_text())
    assert all(content[key] for key in ("name", "description", "body"))
    names = [field["id"] for field in content["body"]]
    assert len(set(names)) == len(names)
    assert all(field["attributes"]["label"] for field in content["body"])


def test_pre_commit_runs_the_checks_of_run_all():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    entries = [hook["entry"].replace(" --force-exclude", "") for hook in repository["hooks"]]
    assert entries == [" ".join(["python", "-m", *check]) for check in CHECKS]
