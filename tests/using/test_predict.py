"""`kft predict`: folders, patterns, tables and standard input in; a table, JSON or a file out."""

import io
import json
import os
import re
import signal
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kft.cli import using
from kft.data.unlabelled import Unlabelled, chunks
from kft.errors import InputError
from kft.family.predicting import predict_stream
from kft.tasks.predictions import ClassPredictions, PredictionFile
from tests.tiny_recipe import TinyRecipe
from tests.using.conftest import load_once

pytestmark = pytest.mark.once

OWN = ("--recipe", "tests.tiny_recipe:TinyRecipe")  # what a run names is not imported
TEXTS = ["good film", 'the "bad" actor, very', "café\nwas great", "awful"]


def standard_input(monkeypatch, content: bytes):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def answers(out):
    """The columns of a CSV."""
    return pd.read_csv(io.StringIO(out), keep_default_na=False).to_dict("list")


# What goes in.


def test_a_folder_is_searched_with_all_below_it(cli, image_run, photos):
    code, out, err = cli("predict", image_run, *OWN, photos, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    expected = sorted(map(str, photos.glob("*/*.png")))
    assert found["input"] == expected
    assert found["label"] == load_once(image_run, recipe=TinyRecipe).predict(expected).labels


def test_a_folder_says_what_it_was_searched_for(cli, image_run, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes(b"no image")
    code, _, err = cli("predict", image_run, *OWN, tmp_path)
    assert code == 2
    assert f"{tmp_path}: no image in this folder or below it" in err
    assert ".png" in err


def test_other_files_in_a_folder_are_left_alone(cli, image_run, photos, tmp_path):
    mixed = tmp_path / "mixed" / "deeper"
    mixed.mkdir(parents=True)
    (mixed / "a.PNG").write_bytes((photos / "red" / "0.png").read_bytes())
    for name in ("labels.csv", ".DS_Store", "Thumbs.db", "notes.md"):
        (mixed / name).write_text("no image")
    code, out, _ = cli("predict", image_run, *OWN, tmp_path, "--json")
    assert code == 0
    assert json.loads(out)["input"] == [str(mixed / "a.PNG")]


def test_a_photograph_in_another_format_is_not_passed_over(cli, image_run, photos, tmp_path):
    (tmp_path / "a.png").write_bytes((photos / "red" / "0.png").read_bytes())
    (tmp_path / "b.HEIC").write_bytes(b"\0\0\0\x24ftypheic" + bytes(40))
    Image.new("RGB", (9, 9)).save(tmp_path / "c.tif")
    code, _, err = cli("predict", image_run, *OWN, tmp_path)
    assert code == 2
    assert "b.HEIC: HEIC image, but JPEG, PNG" in err
    assert "c.tif: TIFF image, but JPEG, PNG" in err
    with pytest.raises(InputError, match="HEIC image, but JPEG"):
        load_once(image_run, recipe=TinyRecipe).predict(str(tmp_path))
    code, out, err = cli("predict", image_run, *OWN, tmp_path, "--json", "--on-bad-example", "skip")
    assert (code, json.loads(out)["input"]) == (0, [str(tmp_path / "a.png")])
    assert "skipped" in err


@pytest.mark.parametrize("pattern", ["*/[0-2].png", "**/[0-2].png", "r*"])
def test_a_quoted_pattern_is_expanded(cli, image_run, photos, pattern):
    code, out, err = cli("predict", image_run, *OWN, photos / pattern, "--json")
    assert code == 0, err
    assert len(json.loads(out)["input"]) == (10 if pattern == "r*" else 6)


def test_a_pattern_through_all_folders_names_each_file_once(cli, image_run, photos):
    code, out, _ = cli("predict", image_run, *OWN, photos / "**", "--json")
    assert code == 0
    assert len(json.loads(out)["input"]) == 20


def test_a_file_with_the_signs_of_a_pattern_in_its_name_is_that_file(
    cli, image_run, photos, tmp_path
):
    odd = tmp_path / "photo [1].png"
    odd.write_bytes((photos / "red" / "0.png").read_bytes())
    (tmp_path / "photo 1.png").write_bytes(b"another")
    code, out, err = cli("predict", image_run, *OWN, odd, "--json")
    assert code == 0, err
    assert json.loads(out)["input"] == [str(odd)]


def test_a_table_of_paths_is_read_relative_to_itself(cli, image_run, photos, tmp_path):
    table = photos.parent / "to_predict.csv"
    table.write_text("id,file\n1,photos0/red/0.png\n2,photos0/blue/1.png\n")
    relative = [str(path.relative_to(photos.parent)) for path in (photos / "red" / "0.png",)]
    table.write_text(f"id,file\n1,{relative[0]}\n")
    code, out, err = cli("predict", image_run, *OWN, table, "--path-column", "file", "--json")
    table.unlink()
    assert code == 0, err
    assert json.loads(out)["input"] == relative


def test_paths_in_a_table_are_relative_to_the_image_root(cli, image_run, photos, tmp_path):
    (tmp_path / "list.csv").write_text("path\nred/0.png\n")
    command = ("predict", image_run, *OWN, tmp_path / "list.csv", "--image-root")
    code, out, err = cli(*command, photos, "--json")
    assert code == 0, err
    assert json.loads(out)["input"] == ["red/0.png"]
    code, _, err = cli(*command, tmp_path / "list.csv")
    assert (code, "list.csv, but the folder that paths of images in a table" in err) == (2, True)


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet"])
def test_a_table_of_texts_is_read_whatever_is_in_them(
    cli, text_run, loaded_texts, tmp_path, ending
):
    frame, path = pd.DataFrame({"n": range(4), "review": TEXTS}), tmp_path / f"reviews{ending}"
    if ending == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if ending == ".tsv" else ",")
    code, out, err = cli("predict", text_run, path, "--text-column", "review", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["input"] == TEXTS
    assert found["label"] == loaded_texts.predict(TEXTS).labels


def test_a_table_without_the_column_names_those_that_it_has(cli, text_run, tmp_path):
    (tmp_path / "reviews.csv").write_text("n,review\n1,good\n")
    code, _, err = cli("predict", text_run, tmp_path / "reviews.csv")
    assert code == 2
    assert "has no column 'text', only 'n', 'review'" in err


def test_a_tab_separated_table_that_quotes_nothing_is_read_line_by_line(cli, text_run, tmp_path):
    (tmp_path / "reviews.tsv").write_text('text\tn\n"good\t1\nbad "film\t2\n')
    code, out, err = cli("predict", text_run, tmp_path / "reviews.tsv", "--json")
    assert code == 0, err
    assert json.loads(out)["input"] == ['"good', 'bad "film']


def test_standard_input_has_one_text_per_line(cli, text_run, loaded_texts, monkeypatch):
    standard_input(monkeypatch, "\ufeffgood film\r\ncafé \x85was great\nawful".encode())
    code, out, err = cli("predict", text_run, "-", "--json")
    assert code == 0, err
    lines = ["good film", "café \x85was great", "awful"]
    assert json.loads(out)["input"] == lines
    assert json.loads(out)["label"] == loaded_texts.predict(lines).labels


def test_standard_input_has_one_path_per_line_for_images(cli, image_run, photos, monkeypatch):
    paths = [str(photos / "red" / "0.png"), str(photos / "blue" / "0.png")]
    standard_input(monkeypatch, "\n".join(paths).encode())
    code, out, err = cli("predict", image_run, *OWN, "-", "--json")
    assert code == 0, err
    assert json.loads(out)["input"] == paths


def test_sources_come_in_the_order_in_which_they_are_named(cli, text_run, tmp_path):
    (tmp_path / "b.txt").write_text("\ufeffgood film \n")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("awful")
    (tmp_path / "table.csv").write_text("text\nbad\n")
    names = [tmp_path / name for name in ("b.txt", "table.csv", "texts")]
    code, out, err = cli("predict", text_run, *names, "--text", "was great", "--json")
    assert code == 0, err
    assert json.loads(out)["input"] == [
        str(tmp_path / "b.txt"), "bad", str(tmp_path / "texts" / "a.txt"), "was great",
    ]  # fmt: skip


def test_texts_in_files_count_as_what_they_say(cli, text_run, loaded_texts, tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffcafé good\n".encode("utf-16"))
    code, out, err = cli("predict", text_run, tmp_path, "--encoding", "utf-16", "--json")
    assert code == 0, err
    assert json.loads(out)["scores"] == [
        pytest.approx(loaded_texts.predict(["café good"])[0].scores, abs=1e-6)
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("gone/",), "gone/: no such file or folder; a text itself goes into --text"),
        (("*.txt",), "*.txt: the pattern matches no file"),
        (("x" * 5000,), "cannot be read (File name too long)"),
        (("-", "-"), "standard input can be read once only"),
        (("--text", "a", "--encoding", "zip"), "--encoding zip is not the encoding of a text file"),
        (("--text", "a", "--top-k", "9"), "--top-k 9: the run has 3 classes; pass 1 to 3"),
        (("--text", "a", "--json", "--output", "a.csv"), "pass one of the two"),
        (("pipe",), "pipe: neither a file nor a folder"),
        (("empty.csv",), "empty.csv is empty"),
        (("head.csv",), "head.csv has no rows"),
        (
            ("numbers.parquet",),
            "column 'text' of numbers.parquet holds int64, but texts are expected",
        ),
        (("twice.csv",), "twice.csv has 2 columns called 'text'"),
        (("no.parquet",), "no.parquet is not a readable Parquet file"),
    ],
)
def test_what_cannot_be_read_is_said_before_anything_is_predicted(
    cli, text_run, tmp_path, monkeypatch, arguments, said
):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("empty.csv").touch()
    Path("head.csv").write_text("text\n")
    Path("twice.csv").write_text("text,text\na,b\n")
    Path("no.parquet").write_text("text\n")
    pd.DataFrame({"text": [1, 2]}).to_parquet("numbers.parquet")
    code, out, err = cli("predict", text_run, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert not Path("a.csv").exists()


# What cannot be used.


@pytest.fixture
def some_bad(photos, tmp_path):
    """A folder in which three of five files cannot be used, for three reasons."""
    folder = tmp_path / "some bad"
    (folder / "deeper").mkdir(parents=True)
    whole = (photos / "red" / "0.png").read_bytes()
    for name in ("a.png", "deeper/z.png"):
        (folder / name).write_bytes(whole)
    (folder / "b.png").write_bytes(b"no image")
    (folder / "c.png").write_bytes(whole[:-40])
    (folder / "d.png").symlink_to(photos / "red" / "1.png")
    return folder


def test_bad_inputs_are_all_named_before_the_first_prediction(cli, image_run, some_bad, tmp_path):
    code, _, err = cli("predict", image_run, *OWN, some_bad, "--output", tmp_path / "out.csv")
    assert code == 2
    assert "b.png: not an image" in err
    assert "d.png: a link that leads out of the folder" in err
    assert "--on-bad-example skip" in err or "on_bad_example" in err
    assert not (tmp_path / "out.csv").exists()


def test_bad_inputs_can_be_skipped_wherever_they_are_noticed(cli, image_run, some_bad):
    code, out, err = cli("predict", image_run, *OWN, some_bad, "--on-bad-example", "skip", "--json")
    assert code == 0, err
    assert json.loads(out)["input"] == [str(some_bad / "a.png"), str(some_bad / "deeper/z.png")]
    assert [line.split(": ")[0] for line in err.splitlines()] == [
        f"skipped {some_bad}/{name}" for name in ("b.png", "d.png", "c.png")
    ]


def test_an_image_that_breaks_in_the_middle_leaves_no_file(cli, image_run, some_bad, tmp_path):
    for name in ("b.png", "d.png"):
        (some_bad / name).unlink()
    out = tmp_path / "out.csv"
    code, _, err = cli("predict", image_run, *OWN, some_bad, "--batch-size", "1", "--output", out)
    assert code == 2
    assert "c.png: cannot be decoded" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["some bad"]


def test_a_link_to_a_folder_is_not_passed_over_in_silence(cli, image_run, photos, tmp_path):
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "a.png").write_bytes((photos / "red" / "0.png").read_bytes())
    (tmp_path / "all" / "more").symlink_to(photos)
    (tmp_path / "all" / "round").symlink_to(tmp_path / "all")
    code, _, err = cli("predict", image_run, *OWN, tmp_path / "all")
    assert code == 2
    assert err.count("a link to a folder") == 2
    code, out, _ = cli(
        "predict", image_run, *OWN, tmp_path / "all", photos, "--json", "--on-bad-example", "skip"
    )
    assert len(json.loads(out)["input"]) == 21


def test_names_cannot_write_to_the_terminal(cli, image_run, tmp_path):
    (tmp_path / "a\x1b[31m\n.png").write_bytes(b"no image")
    code, _, err = cli("predict", image_run, *OWN, tmp_path)
    assert code == 2
    assert "a\\x1b[31m\\n.png: not an image" in err
    assert "\x1b" not in err


def test_nothing_usable_is_an_error(cli, image_run, some_bad, tmp_path):
    out = tmp_path / "out.csv"
    skip = ("--on-bad-example", "skip", "--output", out)
    code, _, err = cli("predict", image_run, *OWN, some_bad / "b.png", *skip)
    assert code == 2
    assert "none of the 1 inputs can be used" in err
    assert not out.exists()


def test_rows_that_cannot_be_used_are_named_by_their_line(cli, text_run, tmp_path):
    table = tmp_path / "reviews.csv"
    table.write_bytes(
        'n,text\n1,good\n2,\n3,caf\xe9\n4,"two\nlines",more\n5,bad\n'.encode("latin-1")
    )
    code, _, err = cli("predict", text_run, table)
    assert code == 2
    for said in ("line 3 of", "no value in column 'text'", "line 4 of", "not utf-8", "3 fields"):
        assert said in err
    code, out, err = cli("predict", text_run, table, "--on-bad-example", "skip", "--json")
    assert code == 0, err
    assert json.loads(out)["input"] == ["good", "bad"]
    assert err.count("skipped") == 3


def test_missing_files_of_a_table_are_named(cli, image_run, photos, tmp_path):
    (tmp_path / "table.csv").write_text(f"path\n{photos / 'red' / '0.png'}\ngone.png\n")
    code, _, err = cli("predict", image_run, *OWN, tmp_path / "table.csv")
    assert code == 2
    assert f"line 3 of {tmp_path / 'table.csv'}: no such file: {tmp_path / 'gone.png'}" in err


def test_a_name_that_is_not_utf8_is_written_so_that_a_person_can_tell(cli, text_run, tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.txt")
    Path(os.fsdecode(path)).write_text("good")
    code, _, err = cli("predict", text_run, tmp_path, "--output", tmp_path / "out.csv")
    assert code == 0, err
    assert answers((tmp_path / "out.csv").read_text())["input"] == [f"{tmp_path}/caf\\xe9.txt"]


# What comes out.


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_the_ending_of_a_file_says_its_format(cli, text_run, loaded_texts, tmp_path, ending):
    out = tmp_path / "made" / f"out{ending}"
    words = [word for text in TEXTS for word in ("--text", text)]
    code, said, err = cli("predict", text_run, *words, "--output", out, "--batch-size", "3")
    assert (code, said, err) == (0, f"4 answers: {out}\n", "")
    read = {
        ".csv": pd.read_csv,
        ".tsv": lambda path: pd.read_csv(path, sep="\t"),
        ".jsonl": lambda path: pd.read_json(path, lines=True),
        ".parquet": pd.read_parquet,
    }[ending]
    frame = read(out)
    expected = loaded_texts.predict(TEXTS, batch_size=3)
    assert list(frame) == ["input", "label", "probability"]
    assert frame["input"].tolist() == TEXTS
    assert frame["label"].tolist() == expected.labels
    assert frame["probability"].to_numpy(np.float32).tolist() == [one.score for one in expected]
    assert sorted(path.name for path in out.parent.iterdir()) == [out.name]


def test_the_most_probable_classes_have_columns_of_their_own(cli, text_run, tmp_path):
    out = tmp_path / "out.csv"
    cli("predict", text_run, "--text", "good film", "--top-k", "2", "--output", out)
    row = {name: values[0] for name, values in answers(out.read_text()).items()}
    assert list(row) == ["input", "label_1", "probability_1", "label_2", "probability_2"]
    ranked = load_once(text_run).predict(["good film"])[0].scores
    assert [row["label_1"], row["label_2"]] == list(ranked)[:2]
    assert row["probability_1"] >= row["probability_2"]


def test_the_mode_of_a_file_is_the_one_of_an_ordinary_file(cli, text_run, tmp_path):
    before = os.umask(0o027)
    try:
        cli("predict", text_run, "--text", "good", "--output", tmp_path / "out.csv")
    finally:
        os.umask(before)
    assert (tmp_path / "out.csv").stat().st_mode & 0o777 == 0o640


def test_printed_answers_do_not_share_a_line_with_the_bar(cli, image_run, photos, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(using.typer, "echo", lambda text, err=False: screen.write(f"{text}\n"))
    cli("predict", image_run, *OWN, photos)
    before, head, answers = screen.getvalue().partition("input ")
    assert "Predicting" in before
    assert head
    assert before.endswith("\x1b[2K"), "the bar is cleared before the first line"
    assert re.fullmatch(r"(?s)[^\n]*probability(\n\S+ +(red|blue) +[01]\.\d{4})+\n.*", answers)


def test_an_input_is_not_overwritten(cli, text_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("texts.csv").write_text("text\ngood\n")
    Path("link.csv").symlink_to("texts.csv")
    for source in ("texts.csv", "*.csv"):
        for output in ("texts.csv", "link.csv", tmp_path / "texts.csv"):
            code, _, err = cli("predict", text_run, source, "--output", output)
            assert code == 2
            assert "is one of the inputs" in err
    assert Path("texts.csv").read_text() == "text\ngood\n"


def test_a_file_that_was_there_stays_until_the_new_one_is_whole(cli, text_run, tmp_path):
    out = tmp_path / "out.csv"
    out.write_text("as it was")
    (tmp_path / "bad.txt").write_bytes(b"caf\xe9")
    code, _, _ = cli("predict", text_run, tmp_path / "bad.txt", "--output", out)
    assert (code, out.read_text()) == (2, "as it was")
    cli("predict", text_run, "--text", "good", "--output", out)
    assert answers(out.read_text())["input"] == ["good"]


def test_a_writer_that_is_ended_leaves_nothing_behind(tmp_path):
    """By SIGTERM, between two batches."""

    def answers():
        yield ClassPredictions(["one"], np.ones((1, 2)), ("a", "b"))
        assert len(list(tmp_path.iterdir())) == 1
        os.kill(os.getpid(), signal.SIGTERM)
        yield ClassPredictions(["two"], np.ones((1, 2)), ("a", "b"))

    none = ClassPredictions([], np.ones((0, 2)), ("a", "b"))
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as ended:
            using._write(answers(), none.writer(tmp_path / "out.csv"))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())


def test_what_is_printed_stays_a_table_whatever_the_inputs_hold(cli, text_run):
    long = "good " * 200
    code, out, _ = cli("predict", text_run, "--text", "a\nb\x1b[31m", "--text", long)
    assert code == 0
    head, first, second = out.splitlines()
    assert head.split() == ["input", "label", "probability"]
    assert "\x1b" not in first
    assert len(second) < 200


def test_several_labels_are_joined_as_the_tables_that_kft_reads_have_them(cli, photos, tmp_path):
    recipe = TinyRecipe(num_classes=3, classes=["a", "b", "c"], task="multi_label")
    files = [photos / "red" / "0.png", photos / "blue" / "0.png"]
    found = recipe.predict(files)
    run, out = recipe.save(tmp_path / "run"), tmp_path / "out.csv"
    code, _, err = cli("predict", run, *OWN, *files, "--output", out)
    assert code == 0, err
    assert answers(out.read_text())["label"] == ["|".join(one.label) for one in found]
    table = recipe.read(out, path_column="input")
    assert table.targets.sum() == sum(len(one.label) for one in found)


def test_numbers_are_answered_with_numbers(cli, photos, tmp_path):
    run = TinyRecipe(num_classes=2, task="regression").save(tmp_path / "run")
    image, out = photos / "red" / "0.png", tmp_path / "out.csv"
    code, _, err = cli("predict", run, *OWN, image, "--output", out)
    assert code == 0, err
    assert list(answers(out.read_text())) == ["input", "value_1", "value_2"]
    code, _, err = cli("predict", run, *OWN, image, "--top-k", "2")
    assert (code, "has no classes" in err) == (2, True)


def test_a_blank_line_is_not_left_out_without_a_word(cli, text_run, monkeypatch):
    standard_input(monkeypatch, b"good\n\nbad\n")
    code, _, err = cli("predict", text_run, "-")
    assert code == 2
    assert "line 2 of standard input: empty text" in err


def test_a_text_that_is_the_name_of_a_table_is_refused(loaded_texts, tmp_path):
    (tmp_path / "new.csv").write_text("text\ngood\n")
    with pytest.raises(InputError, match=r"new\.csv' is the name of a file.*pass those in it"):
        loaded_texts.predict(str(tmp_path / "new.csv"))
    assert len(loaded_texts.predict([str(tmp_path / "new.csv"), "good"])) == 2
    assert len(loaded_texts.predict("missing.csv")) == 1


def test_answers_come_while_inputs_are_still_awaited(loaded_texts, monkeypatch):
    """A batch is answered as soon as its inputs are there, whatever comes after them."""
    reading, writing = (os.fdopen(end, mode) for end, mode in zip(os.pipe(), "rw", strict=True))
    monkeypatch.setattr(sys, "stdin", reading)
    with reading, writing:
        writing.write("good\nbad\n")
        writing.flush()
        inputs = Unlabelled(["-"], modality="text")
        assert next(predict_stream(loaded_texts, inputs, batch_size=2)).inputs == ["good", "bad"]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet"])
def test_the_memory_does_not_grow_with_the_inputs(tmp_path, ending):
    """From a table of 10 MB to a file of answers, in a fifth of that."""
    table = tmp_path / f"table{ending}"
    frame = pd.DataFrame({"text": ["good film " * 200] * 5_000})
    if ending == ".parquet":
        frame.to_parquet(table, row_group_size=100, compression="none", use_dictionary=False)
    else:
        frame.to_csv(table, index=False, sep="\t" if ending == ".tsv" else ",")
    del frame
    tracemalloc.start()
    try:
        inputs = Unlabelled([str(table)], modality="text")
        assert inputs.survey() == 5_000
        with PredictionFile(tmp_path / f"out{ending}") as file:
            for chunk in chunks(inputs, 100):
                names, scores = [raw.name for raw in chunk], np.full((len(chunk), 2), 0.5)
                file.add(ClassPredictions(names, scores, ("a", "b")))
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()
    assert (tmp_path / f"out{ending}").stat().st_size > (10e6 if ending != ".parquet" else 0)


def test_a_large_folder_is_not_held_in_the_memory(tmp_path):
    for number in range(20):
        (tmp_path / f"{number:02}").mkdir()
        for name in range(100):
            (tmp_path / f"{number:02}" / f"{name:02}.txt").write_text("good film " * 1000)
    tracemalloc.start()
    try:
        inputs = Unlabelled([str(tmp_path)], modality="text")
        assert sum(len(raw.value) > 0 for raw in inputs) == 2000
        assert tracemalloc.get_traced_memory()[1] < 1e6, "20 MB of texts"
    finally:
        tracemalloc.stop()
