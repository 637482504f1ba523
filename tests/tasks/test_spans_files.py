"""Reading questions, contexts and answers from files and lists, and errors about bad ones."""

import json
import math

import pytest

from kft.data.read import read
from kft.errors import InputError
from kft.tasks import Spans

pytestmark = pytest.mark.once

CONTEXT = "É Ada ran. Bob ran."


def _read(source, **how):
    return read(source, task=Spans(), modality="text", **how)


def _answers(examples):
    contexts = [text.partition("\n")[2].encode() for text in examples.inputs]
    return [
        [context[first:end].decode() for first, end in row[1:]]
        for context, row in zip(contexts, examples.targets, strict=True)
    ]


def _squad(*asked):
    return {"data": [{"paragraphs": [{"context": CONTEXT, "qas": list(asked)}]}]}


ADA = {"id": "q1", "question": "Who?", "answers": [{"text": "Ada", "answer_start": 2}]}


def test_squad_has_answers_and_impossible_questions(tmp_path):
    path = tmp_path / "dev.json"
    plausible = {"is_impossible": True, "plausible_answers": [{"text": "Ada", "answer_start": 2}]}
    several = [{"text": "ran", "answer_start": 6}, {"text": "Ada ran", "answer_start": 2}]
    asked = ADA, {"question": "When?", "answers": [], **plausible}, {**ADA, "answers": several}
    path.write_text(json.dumps(_squad(*asked)), encoding="utf-8")
    examples = _read(path)
    assert examples.inputs[0] == f"Who?\n{CONTEXT}"
    assert _answers(examples) == [["Ada"], [], ["ran", "Ada ran"]]
    assert examples.targets[2][0].tolist() == [7, 10]  # bytes: É has two
    assert examples.classes == ("answered", "unanswered")


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "jsonl"])
def test_tables_and_json_lines_are_read(tmp_path, ending):
    import pandas as pd

    rows = pd.DataFrame(
        {"question": ["Who?", "What?"], "context": [CONTEXT] * 2, "answer": ["Bob", "ran"], "start": [11, 15]}
    )  # fmt: skip
    path = tmp_path / f"asked.{ending}"
    if ending == "parquet":
        rows.to_parquet(path)
    elif ending == "jsonl":
        rows.to_json(path, orient="records", lines=True)
    else:
        rows.to_csv(path, sep="," if ending == "csv" else "\t", index=False)
    examples = _read(path)
    assert _answers(examples) == [["Bob"], ["ran"]]
    assert examples.targets[1][0].tolist() == [16, 19]


def test_a_table_needs_no_starts_of_what_occurs_once(tmp_path):
    path = tmp_path / "asked.csv"
    path.write_text(f"question,context,answer\nWho?,{CONTEXT},Bob\nWhat?,{CONTEXT},ran\n", "utf-8")
    with pytest.raises(InputError, match=r"line 3: the answer 'ran' occurs 2 times in the context"):
        _read(path)
    examples = _read(path, on_bad_example="skip")
    assert _answers(examples) == [["Bob"]]
    assert [one.name for one in examples.skipped] == ["line 3"]


@pytest.mark.parametrize(
    "label",
    [
        (2, "Ada"),
        [2, "Ada"],
        "Ada",
        ["Ada"],
        [(2, "Ada"), (2, "Ada ran")],
        {"text": "Ada", "start": 2},
        {"text": ["Ada", "Bob"], "answer_start": [2, 11]},
        [{"text": "Ada", "answer_start": 2}, {"text": "Bob", "answer_start": 11}],
    ],
)
def test_an_answer_may_be_written_in_many_ways(label):
    assert _answers(_read(([("Who?", CONTEXT)], [label])))[0][0] == "Ada"


def test_questions_and_contexts_may_be_lists_pairs_or_dicts():
    expected = [f"Who?\n{CONTEXT}", f"Who else?\n{CONTEXT}"]
    pairs = [("Who?", CONTEXT), ("Who\nelse?", CONTEXT)]
    columns = tuple(map(list, zip(*pairs, strict=True)))
    dicts = [dict(zip(("question", "context"), pair, strict=True)) for pair in pairs]
    named = dict(zip(("question", "context"), columns, strict=True))
    for given in (pairs, tuple(pairs), columns, dicts, named, expected):
        assert _read((given, ["Ada", "Bob"])).inputs.tolist() == expected


@pytest.mark.parametrize(
    ("pair", "label", "said"),
    [
        (("Who?", CONTEXT), "Eve", "the answer 'Eve' does not occur in the context"),
        (("Who?", CONTEXT), (3, "Ada"), "'Ada' is not at character 3 of the context, where 'da '"),
        (("Who?", CONTEXT), (-3, "an."), "'an.' is not at character -3 of the context"),
        (("Who?", "e\u0301 ran"), (0, "e"), "the answer 'e' splits the character at 1"),
        (("Who?", CONTEXT), "", "no answer: an empty list, in JSON or Parquet, says"),
        (("Who?", CONTEXT), None, "no answer: an empty list"),
        (("Who?", CONTEXT), (2, " "), "an answer without a letter"),
        (("Who?", CONTEXT), 7, "is not an answer: pass a text, (start, text)"),
        (("Who?", CONTEXT), {"text": ["Ada"], "start": []}, "1 answers, but the starts []"),
        (("Who?", CONTEXT), {"text": ["Ada"], "start": 2}, "1 answers, but the starts 2"),
        (
            ("Who?", CONTEXT),
            (math.inf, "Ada"),
            "the answer 'Ada' starts at inf, which is not a whole number",
        ),
        (
            ("Who?", CONTEXT),
            (2.5, "Ada"),
            "the answer 'Ada' starts at 2.5, which is not a whole number",
        ),
        (
            ("Who?", CONTEXT),
            {"text": "Ada", "start": "2"},
            "'Ada' starts at '2', which is not a whole number",
        ),
        (
            ("Who?", CONTEXT),
            (True, " Ada"),
            "the answer ' Ada' starts at True, which is not a whole number",
        ),
        (("Who?", CONTEXT), (10**400, "Ada"), "is not at character 1000"),
        (("Who?", CONTEXT), ["Ada"] * 1001, "1,001 answers, but at most 1,000 are compared"),
        (("Who?", "Ada \ud800"), "Ada", "not UTF-8"),
        ((" ", CONTEXT), "Ada", "no question"),
        (("Who?", " "), "Ada", "no context"),
        ("Who?", "Ada", "no context: pass (question, context)"),
        (("Who?", 3), "Ada", "but a text is expected"),
    ],
)
def test_what_is_wrong_is_told(pair, label, said):
    with pytest.raises(InputError) as error:
        _read(([("Who?", CONTEXT), pair], ["Ada", label]))
    assert "example 1: " in str(error.value)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("told", "answers", "said"),
    [
        (True, ADA["answers"], '"is_impossible" is true, but there is an answer'),
        (False, [], '"is_impossible" is false, but there is no answer'),
        ("false", ADA["answers"], "is 'false' (str), but true or false is expected"),
    ],
)
def test_a_question_is_impossible_or_has_an_answer(tmp_path, told, answers, said):
    asked = {**ADA, "answers": answers, "is_impossible": told}
    (tmp_path / "a.json").write_text(json.dumps(_squad(ADA, asked)), "utf-8")
    lines = [json.dumps({**one, "context": CONTEXT}) for one in (ADA, asked)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines), "utf-8")
    for name in ("a.json", "a.jsonl"):
        examples = _read(tmp_path / name, on_bad_example="skip")
        assert len(examples) == 1
        assert said in examples.skipped[0].reason


def test_a_small_file_does_not_become_a_huge_one(tmp_path):
    asked = [{"question": "a", "answers": []}] * 2000
    content = {"data": [{"paragraphs": [{"context": "a " * 300_000, "qas": asked}]}]}
    (tmp_path / "a.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(
        InputError, match="its contexts, repeated for each question, have 1,200,000,000 characters"
    ):
        _read(tmp_path / "a.json")


def test_a_document_is_not_parsed_whole_whatever_its_size(tmp_path):
    path = tmp_path / "dev.json"
    path.write_text(json.dumps(_squad(ADA)), encoding="utf-8")
    with path.open("r+b") as file:
        file.truncate(2**29 + 1)  # sparse, so it uses no disk space
    with pytest.raises(InputError, match=r"536,870,913 bytes, but at most .*: write JSON lines"):
        _read(path)


def test_lines_of_another_encoding_are_told(tmp_path):
    row = {"question": "Who?", "context": CONTEXT, "answers": ["Ada"]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row, ensure_ascii=False), "latin-1")
    with pytest.raises(InputError, match="line 1: not utf-8: pass the right one"):
        _read(tmp_path / "a.jsonl")


def test_a_broken_file_in_a_folder_is_skipped_like_any_bad_example(tmp_path):
    row = {"question": "Who?", "context": CONTEXT, "answers": ["Ada"]}
    (tmp_path / "good.jsonl").write_text(json.dumps(row), "utf-8")
    (tmp_path / "bad.json").write_text("{", "utf-8")
    with pytest.raises(InputError, match=r"(?s)1 bad example:.*bad.json: .*not JSON"):
        _read(tmp_path)
    examples = _read(tmp_path, on_bad_example="skip")
    assert (len(examples), [one.name for one in examples.skipped]) == (1, ["bad.json"])


def test_data_to_test_with_may_not_lack_answers_that_no_training_lacked():
    with pytest.raises(InputError, match="no answer, and the training data had no such questions"):
        _read(([("Who?", CONTEXT)], [[]]), classes=("answered",))
    examples = _read(([("Who?", CONTEXT), ("When?", CONTEXT)], ["Ada", []]))
    with pytest.raises(InputError, match="has questions without an answer"):
        read(examples, task=Spans(), modality="text", classes=("answered",))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", "{", "a.json is not JSON"),
        ("a.json", "[]", "not in the form of SQuAD"),
        ("a.json", '{"data": [{"paragraphs": [7]}]}',
         'a.json, data[0].paragraphs[0] has no list "qas": not in the form of SQuAD'),
        ("a.json", json.dumps(_squad(ADA, 7)), "question 2: no question"),
        ("a.json", json.dumps({"data": []}), "a.json has no questions"),
        ("a.json", json.dumps(_squad({**ADA, "question": ""})), "question q1: no question"),
        ("a.json", json.dumps(_squad({**ADA, "answers": [{"text": "Eve", "answer_start": 2}]})),
         "question q1: the answer 'Eve' is not at character 2"),
        ("a.jsonl", "\n{", "line 2: not JSON"),
        ("a.jsonl", "[]", "line 1: no question"),
        ("a.jsonl", '{"question": 3, "context": "a"}', "line 1: 3 (int) is no question"),
        ("a.csv", "question,text\n", "no column 'context'"),
        ("a.csv", "question,context,answer,start\nWho?,Ada,Ada,\u00b2\n",
         "line 2: the start '\u00b2' is not a whole number"),
        ("a.parquet", "PAR1", "is not a Parquet file"),
    ],
)  # fmt: skip
def test_a_file_with_something_wrong_is_refused(tmp_path, name, content, said):
    (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(InputError) as error:
        _read(tmp_path / name)
    assert said in str(error.value)
