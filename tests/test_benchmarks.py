"""The tables of benchmarks are inserted into the pages."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "benchmarks" / "write_figures.py"


def outcome(name, backend, cell):
    return {
        "name": name,
        "command": f"KERAS_BACKEND={backend} python benchmarks/{name}.py",
        "columns": ["task", "seconds"],
        "rows": [["flowers", cell]],
        "notes": ["Same splits."],
        "environment": {"backend": backend, "cores": 2, "keras": "3.15.1"},
        "details": {},
    }


def write(tmp_path, readme, *outcomes):
    (tmp_path / "README.md").write_text(readme)
    for index, one in enumerate(outcomes):
        (tmp_path / f"{index}.json").write_text(json.dumps(one))
    files = sorted(map(str, tmp_path.glob("*.json")))
    command = [sys.executable, str(SCRIPT), *files, "--page", str(tmp_path / "README.md")]
    done = subprocess.run(command, text=True, capture_output=True)
    return done, (tmp_path / "README.md").read_text()


NAMES = (
    *(
        "accuracy_texts",
        "accuracy_images",
        "accuracy_unseen",
        "searched",
        "ends",
        "heads",
        "adapters",
        "tagging",
        "spans",
        "writing",
        "more_classes",
        "flowers",
        "text",
        "speed_images",
        "speed_text",
        "speed_lightning",
        "speed_callbacks",
    ),
    *("speed_growth", "speed_floor", "tuning", "ranking", "tuning_kills", "kills", "commits"),
    *("fuzz", "distribution", "export", "rounding", "export_rounding"),
)


def test_a_page_has_a_place_for_each_benchmark(tmp_path):
    pages = [(ROOT / page).read_text() for page in ("README.md", "docs/measured.md")]
    for name in NAMES:
        (page,) = [text for text in pages if f"<!-- figures:{name} -->\n" in text]
        done, text = write(tmp_path, page, outcome(name, "torch", "7 s"))
        assert done.returncode == 0, done.stderr
        assert "| flowers | 7 s |" in text


def test_results_of_a_name_share_a_table_and_replace_the_one_before(tmp_path):
    readme = "a\n<!-- figures:text -->\nold\n<!-- /figures -->\nb\n"
    results = outcome("text", "torch", "7 s"), outcome("text", "jax", "8 s")
    done, text = write(tmp_path, readme, *results)
    assert done.returncode == 0, done.stderr
    assert "| flowers | 7 s |\n| flowers | 8 s |" in text
    assert text.count("Same splits.") == 1
    assert "old" not in text
    assert text.startswith("a\n<!-- figures:text -->\n")
    assert text.endswith("<!-- /figures -->\nb\n")
    assert write(tmp_path, text, *results)[1] == text


def test_results_share_a_table_where_one_has_more_columns(tmp_path):
    readme = "<!-- figures:text -->\n<!-- /figures -->\n"
    more = outcome("text", "torch", "7 s")
    more["columns"], more["rows"] = ["task", "accuracy", "seconds"], [["trec6", "0.9", "8 s"]]
    done, text = write(tmp_path, readme, outcome("text", "torch", "7 s"), more)
    assert done.returncode == 0, done.stderr
    assert "| task | seconds | accuracy |\n" in text
    assert "| flowers | 7 s | — |\n| trec6 | 8 s | 0.9 |" in text


def test_a_table_without_a_place_is_an_error(tmp_path):
    done, _ = write(tmp_path, "nothing", outcome("text", "torch", "7 s"))
    assert done.returncode != 0
    assert "<!-- figures:text -->" in done.stderr


def cells(each, **ways):
    """Return the details of a result: the accuracies of the draws of each way."""
    return {
        f"{each} {way} {seed}": {
            "each": each,
            "way": way,
            "seed": seed,
            "test": 100,
            "accuracy": accuracy,
            "calibration_error": 0.1,
            "seconds": 2.0 if way == "trainer" else 8.0,
        }
        for way, accuracies in ways.items()
        for seed, accuracy in enumerate(accuracies)
    }


def test_ways_are_ranked_over_the_cells_in_which_they_were_measured(tmp_path):
    details = {
        "accuracy_unseen": cells(5, linear=[0.5, 0.7], kft=[0.8, 0.6], setfit=[0.9, 0.8]),
        "accuracy_texts": cells(5, linear=[0.5], kft=[0.48])
        | cells(20, linear=[0.8], kft=[0.9], kft_plain=[0.95], trainer=[0.7]),
        "accuracy_images": cells(5, linear=[0.5], kft=[0.5], fastai=[0.3]),
    }
    found = [{**outcome(name, "torch", "7 s"), "details": one} for name, one in details.items()]
    places = (*details, "standing")
    page = "".join(f"<!-- figures:{name} -->\n<!-- /figures -->\n" for name in places)
    done, text = write(tmp_path, page, *found)
    assert done.returncode == 0, done.stderr
    assert "| **`recipe.fit(data)`** | 4 | 1.6 | 3 of 4 | 0.10 |" in text  # 2, 2, 1, 1.5
    assert "| linear model | 4 | 1.9 | 2 of 4 | 0.10 |" in text  # 3, 1, 2, 1.5
    assert "| SetFit | 1 | 1.0 | 1 of 1 | 0.10 |" in text
    assert "| fastai's `fine_tune` | 1 | 3.0 | 0 of 1 | 0.10 |" in text
    assert "by cell: -2.0 to +10.0 points, median +5.0; lower in 1 of 4." in text
    assert "takes 0.25 to 0.25 of the time of `recipe.fit(data)`, by cell, on 1 sets." in text


def test_the_pages_show_the_results_that_are_kept(tmp_path):
    results = sorted(map(str, (ROOT / "benchmarks" / "results").glob("*.json")))
    pages = [tmp_path / "README.md", tmp_path / "measured.md"]
    (pages[0]).write_text((ROOT / "README.md").read_text())
    (pages[1]).write_text((ROOT / "docs" / "measured.md").read_text())
    command = [sys.executable, str(SCRIPT), *results]
    done = subprocess.run(
        [*command, *(word for page in pages for word in ("--page", str(page)))],
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert pages[0].read_text() == (ROOT / "README.md").read_text()
    assert pages[1].read_text() == (ROOT / "docs" / "measured.md").read_text()
