"""README's pictures match the code: `python benchmarks/pictures.py` draws them."""

import html
import importlib.util
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent
DRAW_AGAIN = "run benchmarks/pictures.py, and look at what it has drawn"


@pytest.fixture(scope="module")
def pictures():
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "benchmarks" / "pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def words(svg):
    """Return the text of a picture, line by line."""
    found = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    return [html.unescape(one).replace("\N{NO-BREAK SPACE}", " ").strip() for one in found]


def test_the_plan_in_the_picture_is_the_plan_of_today(pictures):
    shown = words((ROOT / "docs" / "plan.svg").read_text(encoding="utf-8"))
    assert shown == words(pictures.plan()), DRAW_AGAIN
    assert "Weights: ImageNet" in shown


def test_the_accuracies_in_the_picture_are_of_the_demo_of_today(pictures):
    svg = (ROOT / "docs" / "demo.svg").read_text(encoding="utf-8")
    (said,) = re.findall(r"<dc:description>(.*?)</dc:description>", svg, flags=re.DOTALL)
    assert html.unescape(said) == pictures.described(), DRAW_AGAIN
