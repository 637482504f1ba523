"""The pages of docs/: their Python runs, and their links are valid."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
RUN = (
    "stages.md",
    "adapters.md",
    "callbacks.md",
    "data.md",
    "segmentation.md",
    "detection.md",
    "video.md",
    "tagging.md",
    "spans.md",
    "own_recipe.md",
    "learning_rates.md",
    "insight.md",
    "tuning.md",
    "blocks.md",
    "cache.md",
    "asked.md",
)


def test_the_python_of_each_page_runs(tmp_path):
    """All pages share one process, since starting Keras takes longest."""
    program = []
    for name in RUN:
        text = (ROOT / "docs" / name).read_text()
        blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
        assert blocks, name
        program += [f"print({name!r})", *blocks]
    program += ["from tests.leaving import leave", "leave()"]
    (tmp_path / "pages.py").write_text("\n".join(program))
    done = subprocess.run(
        [sys.executable, "pages.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)]+)", page.read_text())
    for link in links:
        file, _, heading = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.*)", target.read_text(), flags=re.MULTILINE)
            anchors = [re.sub(r"[^\w\s-]", "", one.lower()).replace(" ", "-") for one in titles]
            assert heading in anchors, link
