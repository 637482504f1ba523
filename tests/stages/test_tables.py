"""The plan as a table: its content and its width."""

import keras
import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

import kft
from kft.cache.cost import Cost
from kft.errors import InputError
from kft.model.pretrained import RANDOM, StartingWeights
from kft.stages.table import PlanTable
from recipes import MobileNetRecipe
from tests.models import convnet
from tests.small_images import TinyRecipe, bright_sides

ROWS = (
    ("1", "head", "20", "6,405", "2,257,984", "0.003", "-", "frozen", "head"),
    ("2", "top", "10", "1,669,765", "594,624", "0.0003", "10%", "frozen", "head, block_13..Conv_1"),
    (
        *(
            "3",
            "all",
            "10",
            "2,196,165",
            "68,224",
            "0.0001 to 1.7e-05 by depth, cosine",
            "100 steps",
        ),
        *("frozen", "head, block_13..Conv_1, block_6_expand..block_12_project_BN, 2 more"),
    ),
)
PLAN = PlanTable(
    "MobileNetRecipe, MobileNetV2", ROWS, ("Frozen features of stage 1 are kept " * 4,)
)


def printed(plan, width):
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(plan)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def test_the_plan_table_tells_each_stage_and_changes_nothing():
    model = convnet()
    model.get_layer("c1").trainable = False
    table = kft.plan_table(
        model,
        [
            kft.Stage(0, 3, 1e-3),
            kft.Stage("all", 2, 1e-4, warmup=0.1, layer_decay=0.5, name="<rest>"),
        ],
    )
    text = str(table)
    assert "Plan for convnet" in text
    assert table.rows[0] == ("1", "head", "3", "21", "704", "0.001", "-", "frozen", "head")
    assert table.rows[1][3:8] == ("685", "40", "0.0001 to 1.3e-05 by depth", "10%", "frozen")
    assert "&lt;rest&gt;" in table._repr_html_()
    assert "<rest>" in text
    assert not model.get_layer("c1").trainable


@pytest.mark.once
@pytest.mark.parametrize("width", [60, 80, 100, 110, 120, 200])
def test_the_plan_fits_the_terminal_and_no_figure_is_torn(width):
    text = printed(PLAN, width)
    assert max(map(cell_len, text.splitlines())) <= width
    for row in ROWS:
        for cell in row[:8]:
            assert all(word in text for word in cell.split()), cell
    assert "block_13..Conv_1" in text


@pytest.mark.once
def test_what_trains_stands_beside_the_numbers_where_there_is_room():
    assert "Stage 3 trains head" in printed(PLAN, 80)
    assert "Stage 3 trains head" not in printed(PLAN, 120)


@pytest.mark.once
def test_batch_norm_has_a_column_only_where_stages_differ():
    assert "BatchNorm: frozen in every stage" in str(PLAN)
    mixed = PlanTable("net", (ROWS[0], (*ROWS[1][:7], "4 of 52 train", ROWS[1][8])))
    assert "4 of 52 train" in str(mixed)
    assert "in every stage" not in str(mixed)


@pytest.mark.once
def test_printed_to_a_pipe_the_plan_has_a_hundred_columns(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "61")
    print(PLAN)
    assert capsys.readouterr().out.rstrip("\n") == printed(PLAN, 100)


@pytest.mark.once
def test_the_first_line_under_the_title_says_which_weights_a_model_starts_from():
    plan = PlanTable("net", ROWS, weights=StartingWeights("the file <a>.h5"))
    assert str(plan).splitlines()[:2] == ["Plan for net", "Weights: the file <a>.h5"]
    assert plan._repr_html_().startswith("<p>Weights: the file &lt;a&gt;.h5</p>")
    random = PlanTable("net", ROWS, weights=RANDOM)
    assert str(random).splitlines()[1] == "Weights: random, nothing is pretrained"


@pytest.mark.once
def test_names_send_no_commands_to_the_terminal():
    row = ("1", "[/red]\x1b[2J\ud800", *ROWS[0][2:8], "[bold]head\x07")
    text = str(PlanTable("net", (row,)))
    assert "[/red]\\x1b[2J\\ud800" in text
    assert "[bold]head\\x07" in text


@pytest.mark.once
def test_a_plan_speaks_of_what_a_person_named(cli):
    """It does not show the names that kft and Keras assign to models."""
    code, shown, _ = cli("plan", "MobileNetRecipe", "--model", "MobileNet", "--set", "alpha=0.25")
    assert code == 0
    assert shown.splitlines()[1] == "Plan for MobileNetRecipe, MobileNet"
    inputs = keras.Input((4,))
    stages = [kft.Stage("all", 1, 1e-3)]
    nameless = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    assert str(kft.plan_table(nameless, stages)).startswith("Plan for the model\n")
    recipe = MobileNetRecipe(num_classes=2, alpha=0.25, image_size=(32, 32), weights=None)
    too_many = [kft.Stage(99, 1, 1e-3)]
    with pytest.raises(kft.InputError, match=r"'MobileNetRecipe' has \d+ blocks"):
        kft.plan_table(recipe.model, too_many)


@pytest.mark.once
@pytest.mark.parametrize(
    ("size", "saved", "said"),
    [
        (3_400, 379_000_000, "less than 1 MB, saves 379 million multiplications and additions"),
        (59_300_000, 59_300_000_000, "59 MB, saves 59.3 billion multiplications and additions"),
        (2_000_000, 1_234 * 10**12, "2 MB, saves 1,234 trillion multiplications and additions"),
        (None, 0, "size unknown, saves nothing"),
    ],
)
def test_what_is_saved_is_said_in_words(size, saved, said):
    assert str(Cost(size, saved, size, fits=True)) == said


@pytest.mark.once
def test_one_is_no_plural(capsys):
    """This holds for the plan, the output of a fit, and its result."""
    stages = [kft.Stage(0, 1, 1e-3, warmup=1)]
    assert "1 step " in str(kft.plan_table(convnet(), stages))
    run = TinyRecipe(num_classes=2).fit(bright_sides(8), stages=stages)
    said = capsys.readouterr().out + repr(run)
    assert "up to 1 epoch, " in said
    assert "1 epoch>" in said
    assert "1 epochs" not in said


@pytest.mark.parametrize("value", [1, "x", ["a", 1], np.zeros(2), object()])
@pytest.mark.parametrize("name", ["batch_norm", "weights", "cache", "distribution", "title"])
def test_what_a_plan_cannot_show_is_refused(name, value):
    if name == "title" and isinstance(value, str):
        return
    with pytest.raises(InputError, match=f"`{name}="):
        kft.plan_table(convnet(), [kft.Stage(0, 1, 1e-3)], **{name: value})
