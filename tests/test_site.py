"""The documentation builds as a site without broken links, missing pages or malformed docstrings."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import kft

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_every_page_is_built_and_asks_nothing_of_the_network(site):
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert pages <= {path.stem for path in site.glob("*.html")}
    for path in site.glob("*.html"):
        fetched = re.findall(
            r'<(?:script|img|link)[^>]+(?:src|href)="(https?://[^"]+)', path.read_text()
        )
        assert not fetched, path.name


def test_the_reference_has_every_public_name(site):
    reference = (site / "reference.html").read_text()
    anchors = set(re.findall(r'id="(kft[\w.]*)"', reference))
    modules = {"callbacks", "distribution", "explain", "tasks", "testing", "tuning"}
    for name in sorted(set(kft.__all__) - modules):
        assert any(anchor.split(".")[-1] == name for anchor in anchors), name
    for module in (kft.callbacks, kft.explain, kft.tasks, kft.tuning):
        for name in module.__all__:
            assert any(anchor.split(".")[-1] == name for anchor in anchors), name
