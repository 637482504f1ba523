"""`kft demo`: fair data, honest wording, and a complete run."""

import json
import re

import numpy as np
import pytest
from rich.console import Console

from kft.cli.demo import run_demo
from kft.cli.demo.comparison import FIT, LINEAR, SCRATCH, WAYS, Comparison
from kft.cli.demo.digits import make_task
from kft.errors import InputError


@pytest.fixture(scope="module")
def task():
    return make_task(places=1)


@pytest.mark.once
def test_the_source_model_never_sees_a_new_digit(task):
    assert {name[0] for name in task.source.labels} == set("01234")
    assert len(set(task.source.labels)) == 5 * 8, "not each digit in each position"
    assert set(task.pool.labels) == set(task.test.labels) == set("56789")


@pytest.mark.once
def test_no_test_picture_can_be_learned_from(task):
    learned = {picture.tobytes() for picture in task.pool.pictures}
    assert not learned & {picture.tobytes() for picture in task.test.pictures}
    assert len(task.test) == 400


@pytest.mark.once
def test_another_seed_draws_other_examples_as_many_of_each_digit(task):
    few = [task.few(3, seed) for seed in (0, 0, 1)]
    assert np.unique(few[0].labels, return_counts=True)[1].tolist() == [3] * 5
    assert np.array_equal(few[0].pictures, few[1].pictures)
    assert not np.array_equal(few[0].pictures, few[2].pictures)


def comparison_of(**accuracies):
    made = Comparison(test=400)
    for way, values in zip(WAYS, accuracies.values(), strict=True):
        for seed, value in enumerate(values):
            made.add(way, 5, seed, value)
    return made


@pytest.mark.once
@pytest.mark.parametrize(
    ("bare", "said"),
    [
        (
            (0.7, 0.8),
            "better than the linear model 2 of 2 times (+20.0 points on average, +20.0 to +20.0)",
        ),
        (
            (0.4, 0.5),
            "better than the linear model 0 of 2 times (-10.0 points on average, -10.0 to -10.0)",
        ),
        (
            (0.5, 0.6),
            "better than the linear model 0 of 2 times (+0.0 points on average, +0.0 to +0.0)",
        ),
    ],
    ids=["better", "worse", "equal"],
)
def test_the_verdict_says_what_came_out(bare, said):
    made = comparison_of(scratch=(0.3, 0.3), linear=(0.5, 0.6), bare=bare)
    assert said in made.verdict()
    assert Comparison.from_dict(json.loads(json.dumps(made.to_dict()))) == made


@pytest.mark.once
@pytest.mark.parametrize(
    ("bare", "said"), [(0.59, "2.0 points below"), (0.7, "9.0 points above"), (0.61, "level with")]
)
def test_the_verdict_on_a_single_comparison_has_no_average(bare, said):
    made = comparison_of(scratch=(0.35,), linear=(0.61,), bare=(bare,))
    assert f"was {said} the linear model, and " in made.verdict()
    assert "average" not in made.verdict()


@pytest.mark.once
def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty: remove it, or name another one"):
        run_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.once("tensorflow")  # the backend of an installation without extras
def test_a_whole_demo_leaves_figures_a_page_runs_and_an_export(tmp_path):
    console = Console(record=True, width=200)
    made = run_demo(tmp_path / "demo", seeds=[0], examples=[2], console=console)
    results = json.loads((tmp_path / "demo" / "results.json").read_text())
    assert Comparison.from_dict(results) == made
    reached = {way: made.accuracies(way, 2)[0] for way in WAYS}
    assert all(accuracy > 0.25 for accuracy in reached.values()), "no better than chance (0.2)"
    assert reached[LINEAR] > 0.5, "features that hold too little to show anything"
    assert reached[FIT] > reached[SCRATCH] + 0.1
    page = (tmp_path / "demo" / "report.html").read_text()
    assert "With 2 of each digit, recipe.fit(data) was" in page
    assert page.count("<svg") >= 1
    runs = tmp_path / "demo" / "runs"
    assert {path.name for path in runs.iterdir()} == {"from-scratch-2", "linear-model-2", "fit-2"}
    for way in ("linear-model-2", "fit-2"):  # both learn from all examples in the end
        journal = json.loads((runs / way / "journal.json").read_text())
        assert journal["refit"]["examples"] == 10
    plan = json.loads((runs / "fit-2" / "recipe.json").read_text())["plan"]
    assert plan["augment"] is None, "a mirrored digit is no digit"
    assert (tmp_path / "demo" / "serving" / "1" / "saved_model.pb").is_file()
    answers = re.findall(r"a picture of (\d): (\d) \(\d+%\)", console.export_text())
    assert len(answers) == 5


@pytest.mark.once
def test_the_reviews_are_the_same_each_time_and_say_what_their_label_says(tmp_path):
    from kft.cli.demo.reviews import WORDS, reviews

    texts, labels = reviews(40)
    assert (texts, labels) == reviews(40)
    assert texts != reviews(40, seed=1)[0]
    for text, label in zip(texts, labels, strict=True):
        said = set(text.split())
        assert said & set(WORDS[label])
        assert not said & set(WORDS["bad" if label == "good" else "good"])
