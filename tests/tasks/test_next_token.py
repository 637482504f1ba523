"""Next-token prediction from texts to figures: counted tokens, rows, the loss, perplexity."""

import json

import keras
import numpy as np
import pandas as pd
import pytest

from kft.data.read import read
from kft.errors import InputError
from kft.tasks import NextToken
from kft.tasks.language.layers import FollowingTokens, TokenAccuracy, TokenCrossEntropy
from kft.tasks.language.parts import joined, parts_of, separated
from kft.tasks.language.rows import cut_rows

CHAT = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Yes?"},
    {"role": "user", "content": "Bye"},
    {"role": "assistant", "content": "Bye."},
]


def _read(source, **arguments):
    return read(source, task=NextToken(), modality="text", **arguments)


def _counted(examples):
    return [
        [text for text, counts in separated(*one) if counts]
        for one in zip(examples.inputs, examples.targets, strict=True)
    ]


@pytest.mark.once
def test_only_answers_count_where_there_is_a_prompt():
    source = [
        "a text",
        ("Why? ", "So."),
        {"text": "another"},
        {"prompt": "2+2=", "answer": "4"},
        {"prompt": "", "completion": "all"},
        {"messages": CHAT},
    ]
    found = _read(source)
    assert _counted(found) == [
        ["a text"],
        ["So."],
        ["another"],
        ["4"],
        ["all"],
        ["Yes?\n", "Bye.\n"],
    ]
    assert found.inputs[5] == "user: Hi\nassistant: Yes?\nuser: Bye\nassistant: Bye.\n"
    assert _counted(_read((["Why? ", "2+2="], ["So.", "4"]))) == [["So."], ["4"]]


@pytest.mark.once
def test_a_template_writes_the_messages():
    parts, reason = parts_of({"messages": CHAT[:2]}, "<{role}>{content}</{role}>")
    assert not reason
    text, spans = joined(parts)
    assert text == "<user>Hi</user><assistant>Yes?</assistant>"
    assert [text[first:end] for first, end in spans] == ["Yes?</assistant>"]
    with pytest.raises(InputError, match=r"`template='no place'` does not say where a message"):
        NextToken(template="no place")


@pytest.mark.once
def test_files_folders_and_tables_hold_texts(tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "one.txt").write_text("One text.\n")
    lines = [{"prompt": "2+2=", "answer": "4"}, {"text": "two"}]
    (tmp_path / "texts" / "two.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert _counted(_read(tmp_path / "texts")) == [["One text."], ["4"], ["two"]]
    (tmp_path / "table.csv").write_text("story,n\nOnce,1\nTwice,2\n")
    assert _counted(_read(tmp_path / "table.csv", text_column="story")) == [["Once"], ["Twice"]]


@pytest.mark.once
def test_frames_and_their_columns_hold_texts():
    frame = pd.DataFrame({"story": ["Once", "Twice"]})
    for source in (frame["story"], np.array(frame["story"]), frame["story"].tolist()):
        assert _counted(_read(source)) == [["Once"], ["Twice"]]
    assert _counted(_read(frame, text_column="story")) == [["Once"], ["Twice"]]


@pytest.mark.once
@pytest.mark.parametrize(
    ("source", "message"),
    {
        "nothing": ([""], "example 0: empty text"),
        "a number": (["one", 7], r"example 1: 7 \(int\), but a text or a pair"),
        "no answer": ([("Why?", "")], "example 0: empty text"),
        "other keys": ([{"question": "Why?"}], r'expected {"text": "..."}, {"prompt"'),
        "no assistant": (
            [{"messages": [*CHAT[:1], {"role": "gpt", "content": "Yes?"}]}],
            "no message has the role \"assistant\".*.*roles are 'user', 'gpt'",
        ),
        "one assistant of two": (
            [{"messages": [*CHAT, {"role": "Assistant", "content": "Yes?"}]}],
            "the role 'Assistant' has to be \"assistant\", or its message would not be learnt",
        ),
        "no messages": ([{"messages": "Hi"}], '"messages" has to be a list'),
        "unequal lists": ((["a", "b"], ["c"]), "2 prompts and 1 answers"),
        "no answers": ((["a", "b"], None), "the answers is None"),
        "one answer": ((["a", "b"], "cd"), "the answers is a single str"),
        "answers without order": ((["a", "b"], {"c", "d"}), "the answers is of type set"),
    }.values(),
)
def test_bad_examples_are_told_by_their_place(source, message):
    with pytest.raises(InputError, match=message):
        _read(source)


@pytest.mark.once
def test_bad_files_are_told_with_the_way_out(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{"texts": "two"}\n')
    with pytest.raises(InputError, match=r'line 2: expected {"text": "..."}'):
        _read(tmp_path / "a.jsonl")
    assert len(_read(tmp_path / "a.jsonl", on_bad_example="skip")) == 1
    (tmp_path / "stray.md").touch()
    with pytest.raises(InputError, match=r"stray.md: expected a file that ends in .txt, .jsonl"):
        _read(tmp_path)
    (tmp_path / "table.csv").write_text("text\nOnce\n")
    with pytest.raises(InputError, match=r"label_column='kind', but next_token has no labels"):
        _read(tmp_path / "table.csv", label_column="kind")


@pytest.mark.once
def test_rows_predict_each_token_that_counts_once():
    rng = np.random.default_rng(0)
    texts = []
    for number, size in enumerate([2, 7, 8, 9, 15, 16, 40]):
        ids = 100 * number + np.arange(size, dtype=np.int32)
        texts.append((ids, rng.random(size) < 0.6, 10 * size))
    texts.append((np.arange(2, dtype=np.int32), np.array([False, False]), 0))
    rows = cut_rows(texts, 8)
    assert rows.lengths.max() == 8
    predicted = [
        (place, int(row[at + 1]))
        for place, row, target in zip(rows.places, rows.tokens, rows.targets, strict=True)
        for at in np.flatnonzero(target[:, 0])
    ]
    expected = [
        (place, int(one))
        for place, (ids, counts, _) in enumerate(texts)
        for one in ids[1:][counts[1:]]
    ]
    assert predicted == expected
    sizes = np.zeros(len(texts))
    np.add.at(sizes, rows.places, [target[:, 1].sum() for target in rows.targets])
    assert all(
        size == given
        for size, (_, counts, given) in zip(sizes, texts, strict=True)
        if counts[1:].any()
    )


def test_loss_and_accuracy_are_those_of_the_tokens_that_count():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(2, 5, 12)).astype("float32")
    tokens = rng.integers(0, 12, (2, 5)).astype("int32")
    tokens[0, 3] = scores[0, 2].argmax()
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], "int32")
    outputs = keras.ops.convert_to_numpy(FollowingTokens(3)([scores, tokens, mask]))
    logs = scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
    targets = np.zeros((2, 5, 2), "int32")
    targets[0, 2:4, 0] = targets[1, 1, 0] = 1
    chosen = [(0, 2), (0, 3), (1, 1)]
    expected = [logs[row, at, tokens[row, at + 1]] for row, at in chosen]
    assert float(TokenCrossEntropy()(targets, outputs)) == pytest.approx(
        -np.mean(expected), rel=1e-5
    )
    metric = TokenAccuracy()
    metric.update_state(targets, outputs)
    right = [scores[row, at].argmax() == tokens[row, at + 1] for row, at in chosen]
    assert float(metric.result()) == pytest.approx(np.mean(right))
    assert (outputs[1, 2:5] == [0, -1]).all()  # no token follows
    for row, last in enumerate((4, 2)):
        best = np.argsort(-scores[row, last])[:3]
        assert outputs[row, 5:, 1].tolist() == best.tolist()
        np.testing.assert_allclose(outputs[row, 5:, 0], np.exp(logs[row, last, best]), rtol=1e-4)


@pytest.mark.once
def test_figures_are_over_texts_whatever_rows_they_are_cut_into():
    rng = np.random.default_rng(0)
    logs = -rng.random((6, 4))
    outputs = np.stack([logs, rng.integers(0, 2, (6, 4))], axis=-1)
    targets = np.zeros((6, 4, 2), "int32")
    targets[..., 0] = 1
    targets[:, 0, 1] = 8
    rows = np.array([0, 1, 0, 2, 2, 1])
    whole, parts = NextToken().scorer(None), NextToken().scorer(None)
    whole.update(targets, outputs, rows)
    for part in (slice(0, 2), slice(2, 6)):
        parts.update(targets[part], outputs[part], rows[part])
    found, other = whole.result(), parts.result()
    assert found.to_dict() == other.to_dict()
    assert len(found) == 3
    assert found.perplexity == pytest.approx(np.exp(-logs.mean()))
    assert found.bits_per_byte == pytest.approx(-logs.sum() / np.log(2) / 48)
    assert found.accuracy == pytest.approx(outputs[..., 1].mean())
    low, high = found.figures.figure("perplexity").interval
    assert low < found.perplexity < high
    assert found.mistakes()[0].size == max(one.size for one in found.mistakes())
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.once
def test_one_text_has_no_interval():
    scorer = NextToken().scorer(None)
    targets = np.array([[[1, 3], [0, 0]]])
    scorer.update(targets, np.array([[[-1.0, 1], [0, -1]]]))
    figure = scorer.result().figures.figure("perplexity")
    assert figure.interval is None
    assert figure.value == pytest.approx(np.e)
