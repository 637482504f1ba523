"""The page of a run: complete, correct, safe and accessible."""

import base64
import io
import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from kft import plots
from kft.data.examples import Examples
from kft.data.kinds import SingleLabels
from kft.errors import InputError
from kft.report.markup import plain_table
from kft.report.page import write_report
from kft.report.style import STYLE
from kft.tasks import Classification, MultiLabel, Regression, Several
from kft.tasks.evaluation import evaluate
from kft.tasks.evaluation import plots as drawings

pytestmark = pytest.mark.once

HISTORY = {
    "accuracy": [0.4, 0.6, 0.7, 0.8],
    "loss": [1.2, 0.8, 0.6, 0.5],
    "val_accuracy": [0.4, 0.5, 0.6, 0.6],
    "val_loss": [1.3, 0.9, 0.8, 0.9],
    "stage": [0, 0, 1, 1],
    "learning_rate": [1e-3, 1e-3, 1e-4, 1e-4],
}
PLAN = '<table style="color:black"><tr><th>stage</th></tr><tr><td>head</td></tr></table>'
VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """A parsed page for the tests, which rejects unmatched tags."""

    def __init__(self, markup):
        super().__init__()
        self.tags, self.open, self.texts = [], [], []
        self.feed(markup)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, *names):
        return [attrs for tag, attrs in self.tags if tag in names]

    @property
    def headings(self):
        return [int(tag[1]) for tag, _ in self.tags if re.fullmatch("h[1-6]", tag)]


def single_label(n=60, k=3, classes=None):
    random = np.random.default_rng(0)
    targets = random.integers(0, k, size=n)
    logits = random.normal(size=(n, k)) + 1.5 * np.eye(k)[targets]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return evaluate(targets, scores, task="single_label", classes=classes)


def multi_label(classes=None):
    random = np.random.default_rng(0)
    targets = random.integers(0, 2, size=(40, 3))
    scores = np.clip(targets * 0.4 + random.uniform(0, 0.6, size=(40, 3)), 0, 1)
    return evaluate(targets, scores, task="multi_label", classes=classes)


def regression(n=30):
    targets = np.linspace(0, 5, n)
    return evaluate(targets, targets + np.sin(targets * 9), task="regression")


def several():
    inner = {"kind": Classification(3), "marks": MultiLabel(3), "age": Regression()}
    parts = {"kind": single_label(40), "marks": multi_label(), "age": regression(40)}
    targets, scores = (
        {name: getattr(one, what) for name, one in parts.items()} for what in ("targets", "scores")
    )
    return evaluate(targets, scores, task=Several(inner))


EVALUATIONS = {
    "single_label": single_label(),
    "two_classes": single_label(k=2),
    "many_classes": single_label(n=200, k=40),
    "one_class_in_the_data": evaluate([0, 0], [[0.9, 0.1], [0.4, 0.6]], task="single_label"),
    "all_right": evaluate([0, 1], np.eye(2), task="single_label"),
    "multi_label": multi_label(),
    "regression": regression(),
    "several": several(),
    "none": None,
}


def written(tmp_path, **arguments):
    given = {"title": "flowers", "history": HISTORY, "stages_table_html": PLAN} | arguments
    path = write_report(tmp_path / "report.html", **given)
    assert path == tmp_path / "report.html"
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Return the page of each evaluation, written once."""
    facts = {"seed": 0, "versions": {"kft": "1"}}
    return {
        case: written(tmp_path_factory.mktemp(case), evaluation=evaluation, facts=facts)
        for case, evaluation in EVALUATIONS.items()
    }


@pytest.mark.parametrize("case", EVALUATIONS)
def test_the_page_is_well_formed_and_stands_alone(pages, case):
    markup = pages[case]
    page = Page(markup)
    assert not page.all("script", "iframe", "link", "object", "form")
    for _, attrs in page.tags:
        assert not [name for name in attrs if name.startswith("on")]
        for name in ("src", "href", "xlink:href"):
            assert attrs.get(name, "#").startswith(("#", "data:image/"))
    assert "url(http" not in markup
    assert "@import" not in markup
    assert "default-src 'none'" in markup


@pytest.mark.parametrize("case", EVALUATIONS)
def test_the_page_can_be_used_by_everybody(pages, case):
    page = Page(pages[case])
    assert page.all("html")[0]["lang"] == "en"
    assert page.tags[[tag for tag, _ in page.tags].index("a")][1] == {
        "class": "skip",
        "href": "#content",
    }
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    anchors = [attrs["href"] for attrs in page.all("a", "use") if "href" in attrs]
    anchors += [attrs["xlink:href"] for attrs in page.all("use") if "xlink:href" in attrs]
    assert {anchor.removeprefix("#") for anchor in anchors} <= set(ids)
    assert page.headings[0] == 1
    assert all(b - a <= 1 for a, b in zip(page.headings, page.headings[1:], strict=False))
    assert all(attrs.get("scope") in ("row", "col") for attrs in page.all("th"))
    assert all(attrs.get("alt") for attrs in page.all("img"))
    for attrs in page.all("svg"):
        assert attrs.get("aria-label") or attrs.get("aria-hidden") == "true"
    for attrs in page.all("div"):
        if attrs.get("class") == "scroll":
            assert attrs["tabindex"] == "0"
            assert attrs["aria-label"]


@pytest.mark.parametrize("case", sorted(EVALUATIONS.keys() - {"none"}))
def test_figures_on_the_page_are_those_of_the_evaluation(pages, case):
    evaluation = EVALUATIONS[case]
    page = Page(pages[case])
    shown = [float(attrs["value"]) for attrs in page.all("data")]
    defined = [value for value in evaluation.figures.values() if value is not None]
    assert shown[: len(defined)] == defined
    if "per_class" not in evaluation.to_dict():
        return
    rows = [
        value
        for one in evaluation.to_dict()["per_class"]
        for name in ("precision", "recall", "f1", "roc_auc", "average_precision")
        if (value := one[name]) is not None
    ]
    assert shown[len(defined) : len(defined) + len(rows)] == rows


def test_the_confusion_matrix_on_the_page_is_that_of_the_evaluation(pages):
    found = EVALUATIONS["single_label"]
    markup = pages["single_label"]
    cells = re.findall(r'<td class="(right|wrong)"[^>]*>([\d,]+)</td>', markup)
    assert [int(count) for _, count in cells] == found.confusion_matrix.ravel().tolist()
    assert [kind for kind, _ in cells] == np.where(np.eye(3), "right", "wrong").ravel().tolist()


@pytest.mark.parametrize("case", EVALUATIONS)
def test_every_colour_of_a_chart_follows_the_page(pages, case):
    charts = re.findall("<svg xmlns.*?</svg>", pages[case], flags=re.DOTALL)
    assert charts
    for svg in charts:
        assert not re.findall("#[0-9a-f]{6}", svg)
        # Text without a colour would be black in dark mode, too.
        assert all("fill: var(" in style for style in re.findall('<text style="([^"]*)"', svg))


def test_mistakes_show_the_surest_first_with_their_texts(tmp_path):
    found = EVALUATIONS["single_label"]
    texts = np.array([f"sentence number {i}." for i in range(len(found))], dtype=object)
    examples = Examples("texts", texts, found.targets, found.classes, "table", task=SingleLabels())
    markup = written(tmp_path, evaluation=found, examples=examples)
    shown = [int(i) for i in re.findall(r"sentence number (\d+)\.", markup)]
    assert shown == [one.index for one in found.mistakes(12)]


def test_mistakes_show_thumbnails_upright_and_say_which_file_is_broken(tmp_path):
    upright = Image.Exif()
    upright[0x0112] = 6  # rotated by 90 degrees for display
    Image.new("RGB", (300, 100), "red").save(tmp_path / "wide.jpg", exif=upright)
    Image.new("RGBA", (50, 50), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.fromarray(np.full((80, 80), 40000, np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    names = ["wide.jpg", "clear.png", "deep.png", "broken.jpg"]
    found = evaluate([0] * 4, [[0.4, 0.6]] * 4, task="single_label")
    paths = np.array([str(tmp_path / name) for name in names], dtype=object)
    examples = Examples(
        "image_files", paths, found.targets, found.classes, "folder", task=SingleLabels()
    )
    markup = written(tmp_path, evaluation=found, examples=examples)
    images = [
        Image.open(io.BytesIO(base64.b64decode(encoded)))
        for encoded in re.findall(r"data:image/jpeg;base64,([^\"]+)", markup)
    ]
    assert [image.size for image in images] == [(75, 224), (200, 200), (80, 80)]
    assert images[1].getpixel((9, 9)) == (255, 255, 255)
    assert "broken.jpg</bdi> (cannot be shown)" in markup
    # As bytes, as in prepared data sets.
    encoded = np.array([(tmp_path / name).read_bytes() for name in names], dtype=object)
    examples = Examples(
        "image_bytes", encoded, found.targets, found.classes, "data set", task=SingleLabels()
    )
    assert written(tmp_path, evaluation=found, examples=examples).count("data:image/jpeg") == 3


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (70, 90, 3)])
@pytest.mark.parametrize("scale", [1, 16, 255])
def test_mistakes_show_arrays_whatever_their_range(tmp_path, shape, scale):
    pixels = np.random.default_rng(0).uniform(0, scale, size=(4, *shape)).astype("float32")
    found = evaluate([0] * 4, [[0.4, 0.6]] * 4, task="single_label")
    examples = Examples(
        "arrays", pixels, found.targets, found.classes, "arrays", task=SingleLabels()
    )
    markup = written(tmp_path, evaluation=found, examples=examples)
    encoded = re.findall(r"data:image/jpeg;base64,([^\"]+)", markup)
    assert len(encoded) == 4
    image = Image.open(io.BytesIO(base64.b64decode(encoded[0])))
    assert image.size == ((224, 224) if 8 in shape else (90, 70))
    assert np.asarray(image).max() > 230


def test_arrays_that_are_no_images_are_named_by_their_number(tmp_path):
    found = evaluate([0], [[0.4, 0.6]], task="single_label")
    examples = Examples(
        "arrays", np.zeros((1, 5)), found.targets, found.classes, "arrays", task=SingleLabels()
    )
    assert "example 0</bdi> (cannot be shown)" in written(
        tmp_path, evaluation=found, examples=examples
    )


HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>' onmouseover='alert(1)",
    "</style></svg><script>alert(2)</script> $x^{$ \x00\x1b[31m \u202e _",
]


def test_nothing_from_data_becomes_markup(tmp_path):
    found = single_label(classes=HOSTILE)
    bad = HOSTILE[1]
    texts = np.array([HOSTILE[i % 3] for i in range(len(found))], dtype=object)
    examples = Examples("texts", texts, found.targets, found.classes, bad, task=SingleLabels())
    history = {bad: [1, 2, 3, 4], f"val_{HOSTILE[2]}": [1, 2, 3, 4], "loss": [4, 3, 2, 1]}
    history["stage"] = [HOSTILE[0], HOSTILE[0], HOSTILE[2], bad]
    history[f"learning_rate_{bad}"] = [1, 2, 3, 4]
    markup = written(
        tmp_path,
        title=HOSTILE[0],
        history=history,
        stages_table_html=f"<table><tr><th>{HOSTILE[0]}</th><td onclick=x>{bad}</td></tr></table>",
        evaluation=found,
        examples=examples,
        facts={bad: {HOSTILE[0]: [HOSTILE[2]]}},
    )
    page = Page(markup)
    assert not page.all("script", "img")
    assert not [n for _, attrs in page.tags for n in attrs if n.startswith("on")]
    assert len(page.all("style")) == 1 + markup.count("<svg xmlns")  # matplotlib adds one to each
    assert "\x00" not in markup
    assert "\x1b" not in markup
    assert HOSTILE[0] in "".join(page.texts)


def test_hostile_file_names_are_escaped_too(tmp_path):
    name = tmp_path / "\"><b onclick='x'>\udcff.jpg"
    try:
        Image.new("RGB", (64, 64)).save(name)
    except (OSError, UnicodeError):
        pytest.skip("this file system refuses such names")
    found = evaluate([0], [[0.4, 0.6]], task="single_label")
    paths = np.array([str(name)], dtype=object)
    examples = Examples(
        "image_files", paths, found.targets, found.classes, "folder", task=SingleLabels()
    )
    page = Page(written(tmp_path, evaluation=found, examples=examples))
    assert not page.all("b")
    assert "onclick" in page.all("img")[0]["alt"]


def test_many_classes_show_a_picture_and_the_confused_pairs(pages):
    markup = pages["many_classes"]
    assert "40 classes by number" in markup
    assert "Most frequent confusions" in markup
    assert "The weakest are in colour" in markup


def test_curves_say_where_they_end_and_where_stages_begin(tmp_path):
    markup = written(tmp_path)
    assert (
        "Training 0.5, validation 0.9 at the end; lowest validation loss 0.8 in epoch 3." in markup
    )
    assert "stage 1: epochs 1 to 2; stage 2: epochs 3 to 4." in markup


def test_a_history_without_stages_epochs_or_with_gaps_is_shown_honestly(tmp_path):
    assert "No epoch was finished" in written(tmp_path, history={"loss": []})
    assert "Dashed lines" not in written(tmp_path, history={"loss": [2.0, 1.0]})
    broken = {"loss": [1.0, float("nan"), 0.5], "val_loss": [1.0, None, 2.0]}
    markup = written(tmp_path, history=broken)
    assert "training loss is NaN, infinite or missing in 1 of 3 epochs, first in epoch 2" in markup
    frozen = {"loss": [1.0], "learning_rate": [0.0]}
    assert "Learning rate" in written(tmp_path, history=frozen)


def test_a_plan_brings_structure_and_text_but_no_looks():
    markup = plain_table(
        "<style>td{color:red}</style><table class=x style='color:red'><thead><tr><th onclick=a>b"
        "</th></tr></thead><tbody><tr><th>c<td colspan='2' rowspan=javascript:x>&lt;i&gt;</table>"
        "</section><script>alert(1)</script>"
    )
    assert markup == (
        '<table><thead><tr><th scope="col">b</th></tr></thead><tbody><tr><th scope="row">c'
        '<td colspan="2">&lt;i&gt;</td></th></tr></tbody></table>'
    )


def test_every_colour_can_be_read_on_its_background():
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, flags=re.DOTALL)
    for scheme in (light, dark):
        color = dict(re.findall(r"--([\w-]+): (#\w{6})", scheme))
        for text in ("ink", "muted", "link"):
            for ground in ("ground", "raised"):
                assert contrast(color[text], color[ground]) >= 4.5
        assert contrast(color["ink"], color["notice"]) >= 4.5
        for i in range(1, 9):
            assert contrast(color[f"series-{i}"], color["ground"]) >= 3
        # The darkest cells of a confusion matrix have 48 % and 45 % of a colour.
        for name, share in (("series-1", 0.48), ("series-2", 0.45)):
            assert contrast(color["ink"], mixed(color[name], color["ground"], share)) >= 4.5


def channels(color):
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])


def mixed(color, ground, share):
    blend = channels(color) * share + channels(ground) * (1 - share)
    return "#" + "".join(f"{round(c):02x}" for c in blend)


def contrast(one, other):
    """Return the contrast ratio of WCAG 2.2, section 1.4.3."""

    def luminance(color):
        c = channels(color) / 255
        c = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        return c @ [0.2126, 0.7152, 0.0722]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_page_is_replaced_in_one_step_and_readable_by_others(tmp_path):
    first = written(tmp_path, title="first")
    with open(tmp_path / "report.html", encoding="utf-8") as reader:
        markup = written(tmp_path, title="second")
        assert reader.read() == first, "who reads the old page while it is replaced has all of it"
    assert "<h1>second</h1>" in markup
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    (tmp_path / "plain").touch()
    if os.name == "posix":
        modes = [(tmp_path / name).stat().st_mode for name in ("report.html", "plain")]
        assert modes[0] == modes[1]


def test_the_same_run_gives_the_same_page(tmp_path):
    arguments = {"evaluation": single_label(), "facts": {"seed": 0}}
    assert written(tmp_path, **arguments) == written(tmp_path, **arguments)


def test_examples_of_other_data_and_a_folder_as_path_are_errors(tmp_path):
    found = EVALUATIONS["single_label"]
    texts = np.array(["a", "b"], dtype=object)
    examples = Examples("texts", texts, np.array([0, 1]), ("x", "y"), "table", task=SingleLabels())
    with pytest.raises(InputError, match="2 examples for an evaluation of 60"):
        written(tmp_path, evaluation=found, examples=examples)
    with pytest.raises(InputError, match="is a folder: expected a file such as"):
        write_report(tmp_path, title="x", history={})


def test_figures_for_a_notebook_show_themselves_and_need_no_pyplot():
    code = (
        "import sys; from kft import plots; f = plots.curves({'loss': [1.0, 0.5]}); "
        "assert f._repr_png_()[:4] == b'\\x89PNG'; print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert done.stdout.strip() == "False"


def test_curves_mark_every_stage_and_draw_every_metric():
    figure = plots.curves(HISTORY)
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy", "learning rate"]
    assert figure.axes[2].get_yscale() == "log"
    for axes in figure.axes:
        assert [text.get_text() for text in axes.texts] == ["stage 1", "stage 2"]
    train, validation = figure.axes[0].get_lines()[:2]
    assert train.get_ydata().tolist() == HISTORY["loss"]
    assert validation.get_ydata().tolist() == HISTORY["val_loss"]


def test_an_evaluation_plots_the_figure_of_its_task():
    counts = EVALUATIONS["single_label"].confusion_matrix.ravel().tolist()
    figure = EVALUATIONS["single_label"].plot()
    assert [int(text.get_text()) for text in figure.axes[0].texts] == counts
    assert EVALUATIONS["regression"].plot().axes[0].get_xlabel() == "expected"
    assert EVALUATIONS["multi_label"].plot().axes[0].get_xlabel() == "recall"
    with pytest.raises(AttributeError, match="a regression evaluation has no 'confusion_matrix'"):
        drawings.confusion(EVALUATIONS["regression"])


def test_each_of_several_tasks_has_its_sections_on_the_page(pages):
    headings = re.findall(r'<h2 id="([^"]*)">([^<]*)<', pages["several"])
    assert [pair for pair in headings if ":" in pair[1]] == [
        ("kind-classes", "kind: By class"),
        ("kind-confusion", "kind: Confusion matrix"),
        ("kind-curves", "kind: Confidence and ranking"),
        ("kind-mistakes", "kind: Most confident mistakes"),
        ("marks-classes", "marks: By class"),
        ("marks-curves", "marks: Confidence and ranking"),
        ("marks-mistakes", "marks: Most confident mistakes"),
        ("age-curves", "age: Predictions"),
        ("age-mistakes", "age: Largest errors"),
    ]
    assert "<dt>kind: accuracy</dt>" in pages["several"]


def test_the_reliability_diagram_draws_the_bins_of_the_evaluation():
    found = EVALUATIONS["single_label"]
    bars, counts = (axes.patches for axes in drawings.reliability(found).axes)
    filled = [one for one in found.reliability if one.count]
    assert [bar.get_height() for bar in bars] == [one.accuracy for one in filled]
    assert [bar.get_height() for bar in counts] == [one.count for one in filled]


def test_the_area_under_the_drawn_curve_is_the_auc_of_the_evaluation():
    found = EVALUATIONS["single_label"]
    lines = drawings.roc(found).axes[0].get_lines()[1:]
    areas = [np.trapezoid(line.get_ydata(), line.get_xdata()) for line in lines]
    assert areas == pytest.approx([one.roc_auc for one in found.per_class])


def data_page(tmp_path, counts, **found):
    parts = {"training": {"examples": 5, "counts": counts, "values": None, "copies": 0}}
    journal = {"data": {"parts": parts, "across": 0, "conflicts": 0, "alike": None, **found}}
    return written(tmp_path, journal=journal)


@pytest.mark.parametrize(("needed", "shown"), [(7, False), (14, True)])
def test_the_page_speaks_of_the_cache_where_it_spared_something(tmp_path, needed, shown):
    """A solved head needs each example once, with or without a cache."""
    saved = {"stages": {"1": needed}, "needed": needed, "computed": 7, "saved": 0}
    page = written(tmp_path, journal={"cache": saved})
    assert ("What the cache saved" in page) == shown
    assert ("2 times as many" in page) == shown


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"conflicts": 1}, "1 example occurs with different labels."),
        (
            {"across": 2},
            "2 examples of a later part are in an earlier part too. Validation data should be new to "
            "the model.",
        ),
    ],
    ids=["conflicts", "leaks"],
)
def test_a_notice_about_the_data_says_what_was_found_and_no_more(tmp_path, found, said):
    page = data_page(tmp_path, {"a": 3, "b": 2}, **found)
    assert f'<p class="notice">{said}</p>' in page


def test_data_in_balance_have_no_class_with_the_most(tmp_path):
    assert "each class has 2 (50.0%)" in data_page(tmp_path, {"a": 2, "b": 2})
    assert "the most are a, 3 (60.0%), the fewest b" in data_page(tmp_path, {"a": 3, "b": 2})
