"""The page in a real browser: both colour schemes, phone width, keyboard, empty console."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.report.test_report import EVALUATIONS, HISTORY, PLAN, write_report

pytestmark = pytest.mark.once

BROWSER = Path(__file__).parents[1] / "browser.py"
DATA = {
    "parts": {
        "training": {"examples": 5, "counts": {"a": 3, "b": 2}, "values": None, "copies": 1},
        "validation": {"examples": 2, "counts": {"a": 1, "b": 1}, "values": None, "copies": 0},
    },
    "across": 1,
    "conflicts": 0,
    "alike": {
        "looked_at": {"training": 4, "validation": 2},
        "within": {"training": 0, "validation": 0},
        "across": 1,
        "pairs": [
            [
                {"part": "training", "name": f"{'long' * 9}/1.jpg", "label": "a"},
                {"part": "validation", "name": f"{'long' * 9}/2.jpg", "label": "b"},
            ]
        ],
    },
}
JOURNAL = {
    "seconds": {"before": 1.5, "1": 2.0, "2": 3.0},
    "epochs": {"1": 2, "2": 2},
    "memory": {"1": {"host": 10**9, "device": 10**8}, "2": {"host": 2 * 10**9, "device": 10**8}},
    "rates": {"head": [1e-3, 1e-3, 1e-4, 1e-4], "conv5": [None, None, 1e-4, 1e-4]},
    "moved": {"head": 0.5, "conv5": 0.01, "conv4": 0.0},
    "cache": {"stages": {"1": 14}, "needed": 14, "computed": 7, "saved": 10**12},
    "data": DATA,
    "forgetting": {
        "source": "folder source",
        "examples": 50,
        "classes": 3,
        "chance": 0.4,
        "probe": [0.8, 0.7],
        "neighbours": [0.9, 0.6],
        "similarity": 0.5,
    },
}


@functools.cache
def why_not():
    """Return why no browser is available; None if there is one."""
    code = "import PyQt6.QtTest, PyQt6.QtWebEngineCore, PyQt6.QtWebEngineWidgets"
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True)
    return done.stderr.strip().splitlines()[-1] if done.returncode else None


@pytest.fixture(scope="module", params=["light", "dark"])
def seen(request, tmp_path_factory):
    """Return the browser's observations of a page with all sections in one colour scheme."""
    if why_not():
        pytest.skip(f"no Qt WebEngine: {why_not()}")
    folder = tmp_path_factory.mktemp(request.param)
    page = write_report(
        folder / "report.html",
        title="a rather long name of a run " * 3,
        history=HISTORY,
        stages_table_html=PLAN,
        evaluation=EVALUATIONS["single_label"],
        facts={"seed": 0, "a_path_without_any_place_to_break_it": "/very" * 40},
        journal=JOURNAL,
    )
    done = subprocess.run(
        [sys.executable, str(BROWSER), str(page), str(folder), request.param],
        text=True,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return request.param, folder, json.loads(done.stdout.splitlines()[-1])


def test_the_page_follows_the_scheme_of_the_system(seen):
    scheme, folder, found = seen
    ground = {"light": (255, 255, 255), "dark": (20, 23, 29)}[scheme]
    assert {one["background"] for one in found.values()} == {"rgb({}, {}, {})".format(*ground)}
    for device in found:
        pixels = np.asarray(Image.open(folder / f"{device}-{scheme}.png").convert("RGB"))
        assert np.abs(np.median(pixels, axis=(0, 1)) - ground).max() <= 2
        assert pixels.std() > 10


def test_nothing_is_wider_than_the_screen(seen):
    for device, found in seen[2].items():
        assert found["inner"] == {"desktop": 1280, "phone": 390}[device]
        assert found["width"] <= found["inner"]
        assert found["wide"] == []


def test_the_browser_has_no_complaint(seen):
    assert [one["console"] for one in seen[2].values()] == [[], []]
    assert all(shown for one in seen[2].values() for shown in one["images"])


def test_a_keyboard_reaches_everything_in_the_order_of_the_page(seen):
    found = seen[2]["desktop"]
    *tabs, last = found["tabs"]
    assert last["name"] == "BODY"  # then it starts again
    assert tabs[0]["name"] == "#content"
    assert len(tabs) == found["focusable"] > 15
    assert all(one["seen"] for one in tabs)
    places = [one["place"] for one in tabs if not one["name"].startswith("#")]
    assert places == sorted(places)
