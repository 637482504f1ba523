"""Question answering: comparison of answers, their positions among tokens, long contexts."""

import json
import math
import pickle

import numpy as np
import pytest

import kft
from kft.answers import NumpyOps
from kft.data.parts import Piece
from kft.data.split import split
from kft.errors import InputError
from kft.recipe import tokenization
from kft.recipe.pairs import pack_pairs
from kft.recipe.token_graphs import with_length
from kft.tasks import Spans
from kft.tasks.answering.best import best_spans
from kft.tasks.answering.counting import best_scores, normalized
from kft.tasks.answering.layers import SpanAccuracy, SpanCrossEntropy
from kft.tasks.evaluation.spans_scorer import _Counted
from kft.testing.families import TinyTexts, save_tiny_bert, tiny_texts

once = pytest.mark.once


@once
@pytest.mark.parametrize(
    ("answer", "accepted", "exact", "f1"),
    [
        ("The  Cat!", ["cat"], 1, 1),  # article, case, punctuation and spaces do not matter
        ("a.m.", ["am"], 1, 1),  # punctuation is removed before articles
        ("the", ["dog"], 0, 0),  # empty once normalized
        (
            "the",
            ["An", "!"],
            1,
            1,
        ),  # accepted answers are empty once normalized, as if there were none
        ("Ada Lovelace in London", ["Lovelace", "Ada Lovelace"], 0, 2 * 2 / (4 + 2)),
        ("cat cat dog", ["cat dog dog"], 0, 2 * 2 / (3 + 3)),  # as often as in both
        ("", ["cat"], 0, 0),
        ("cat", [], 0, 0),
        ("", [], 1, 1),
        ("“cat”", ["cat"], 0, 0),  # only ASCII is punctuation
    ],
)
def test_answers_are_compared_as_squad_does(answer, accepted, exact, f1):
    assert best_scores(answer, accepted) == (exact, pytest.approx(f1))


@once
def test_an_article_is_a_word_of_its_own():
    assert normalized("Theatre, an Athenian's") == "theatre athenians"


def _outputs(start, end, words=None):
    """Return outputs for one text whose tokens have these probabilities and are words of one letter."""
    places = np.arange(-1, len(start) - 1, dtype="float32") * 2
    ends = np.where(np.arange(len(start)) > 0, places + 1, -1)
    logs = np.log(np.maximum(np.array([start, end], "float32"), 1e-9))
    return np.stack([*logs, places, ends], axis=-1)[None].astype("float32")


@once
def test_an_answer_ends_where_or_after_it_starts_and_is_not_too_long():
    outputs = _outputs([0.1, 0.1, 0.1, 0.6, 0.1], [0.1, 0.5, 0.1, 0.1, 0.2])

    def found(longest):
        best = best_spans(outputs, longest, NumpyOps())
        return int(best.starts[0]), int(best.ends[0]), float(np.exp(best.scores[0]))

    assert found(2) == (4, 7, pytest.approx(0.6 * 0.2))  # not 0.6 * 0.5, backwards
    assert found(1) == (4, 5, pytest.approx(0.6 * 0.1))
    assert float(np.exp(best_spans(outputs, 1, NumpyOps()).none[0])) == pytest.approx(0.01)


@once
def test_without_a_word_there_is_no_answer():
    outputs = _outputs([1.0, 0, 0], [1.0, 0, 0])
    outputs[..., 2:] = -1
    found = Spans().answer(outputs, ("answered",), NumpyOps())
    assert (found["start"][0], found["end"][0]) == (-1, -1)
    raw = {"context": np.array([b""], object)}
    assert Spans().quote(found, raw, NumpyOps())["answer"].tolist() == [b""]


def test_loss_and_accuracy_leave_out_what_was_cut():
    outputs = np.repeat(_outputs([0.1, 0.7, 0.2], [0.1, 0.3, 0.6]), 3, axis=0)
    targets = np.array([[1, 2], [2, 2], [-1, -1]], "int32")
    expected = -(math.log(0.7) + math.log(0.6) + math.log(0.2) + math.log(0.6)) / 4
    assert float(SpanCrossEntropy()(targets, outputs)) == pytest.approx(expected, rel=1e-4)
    metric = SpanAccuracy()
    metric.update_state(targets, outputs)
    assert float(metric.result()) == pytest.approx(1 / 3)


def _recipe(tmp_path, task=None, **arguments):
    preset = save_tiny_bert(tmp_path / "preset")
    return TinyTexts(preset, task=task or Spans(), backbone_dropout=0.0, **arguments)


@once
def test_a_pair_has_the_tokens_of_both_and_the_bytes_of_the_context(tmp_path):
    import tensorflow as tf

    preprocessor = _recipe(tmp_path).preprocessor
    texts = ["was it\né film-plot.", "good\n" + "was " * 30, "bad " * 30 + "\nfilm", "good", "\n"]
    found = tokenization.packer(preprocessor, 12, pack_pairs)(texts)
    vocabulary = preprocessor.tokenizer.get_vocabulary()
    words = [[vocabulary[one] for one in row] for row in found["token_ids"]]
    assert words[0] == ["[CLS]", "was", "[UNK]", "[SEP]", "[UNK]", "film", "[UNK]", "plot", "[UNK]",
                        "[SEP]", "[PAD]", "[PAD]"]  # fmt: skip
    assert found["word_starts"][0].tolist() == [-1] * 4 + [0, 3, 7, 8, 12] + [-1] * 3
    assert found["word_ends"][0].tolist() == [-1] * 4 + [2, 7, 8, 12, 13] + [-1] * 3
    assert found["segment_ids"][0].tolist() == [0] * 4 + [1] * 6 + [0] * 2
    assert words[1] == ["[CLS]", "good", "[SEP]", *["was"] * 8, "[SEP]"]
    assert words[2] == ["[CLS]", *["bad"] * 8, "[SEP]", "film", "[SEP]"]
    assert words[3][:4] == ["[CLS]", "good", "[SEP]", "[SEP]"]
    usual = with_length(preprocessor, 12)
    token_ids, segment_ids = usual.packer(
        tuple(usual.tokenizer(tf.constant([one])) for one in ("was it", "é film-plot."))
    )
    np.testing.assert_array_equal(found["token_ids"][:1], token_ids)
    np.testing.assert_array_equal(found["segment_ids"][:1], segment_ids)


@once
def test_an_answer_lies_on_the_tokens_of_its_words(tmp_path):
    recipe = _recipe(tmp_path)
    pairs = [("is it", "é film-plot was good"), ("is it", "bad film"), ("it", "a " * 9 + "film")]
    answers = [(2, "film-plot"), [], (18, "film")]
    examples = recipe.read((pairs, answers))
    assert examples.counts() == {"answered": 2, "unanswered": 1}
    # [CLS] is it [SEP] é film - plot was good [SEP]
    made = recipe.task.collate(examples.targets, recipe.load(examples.inputs, 12))
    assert made.tolist() == [[5, 7], [0, 0], [-1, -1]]


@once
def test_long_contexts_are_read_in_pieces_that_overlap(tmp_path):
    recipe = _recipe(tmp_path, sequence_length=12)
    context = " é  ".join(tiny_texts(3, 7))
    at = context.index(" é ") + 1
    examples = recipe.read(([("is it", context), ("was it", "a film")], [(at, "é"), "film"]))
    pieces = [text for text in examples.inputs if text.startswith("is")]
    assert len(pieces) > 3
    content = context.encode()
    for piece, row in zip(examples.inputs, examples.targets, strict=True):
        inputs = recipe.load([piece])
        ends = inputs["word_ends"][0]
        own = piece.partition("\n")[2].encode()
        assert ends.max() == len(own)  # nothing is cut off
        if piece.whole.startswith("is"):
            assert content[piece.offset : piece.offset + len(own)] == own
            assert own[slice(*row[0])] in ("é".encode(), b"")
            assert content[slice(*row[1])] == "é".encode()
    held = [row[0, 1] > 0 for row in examples.targets]
    assert 1 < sum(held) < len(held)  # some pieces, and the other context, contain the answer
    assert recipe.read(examples) is examples
    again = pickle.loads(pickle.dumps(pieces[1]))
    assert (again, again.whole, again.offset) == (pieces[1], pieces[1].whole, pieces[1].offset)


@once
def test_a_split_has_no_context_on_both_sides(tmp_path):
    contexts = [text for text in tiny_texts(10, 4) for _ in range(3)]
    pairs = [(f"is it {place}", context) for place, context in enumerate(contexts)]
    examples = _recipe(tmp_path).read((pairs, [(0, one.split()[0]) for one in contexts]))
    train, validation = split(examples, 0.3, seed=0)
    sides = [{text.partition("\n")[2] for text in side.inputs} for side in (train, validation)]
    assert not sides[0] & sides[1]
    assert len(train) + len(validation) == 30


@once
def test_pieces_are_one_question_and_the_best_answer_counts(tmp_path):
    recipe = _recipe(tmp_path)
    examples = recipe.read(
        ([("is", "a b c"), ("is", "b c"), ("is", "c d")], [["a", "a b"], [(0, "b")], []])
    )
    piece = Piece("is\nb c", examples.inputs[0].whole, 2)
    inputs = np.array([examples.inputs[0], piece, *examples.inputs[1:]], object)
    rows = [0, 0, 1, 2]
    import dataclasses

    examples = dataclasses.replace(examples, inputs=inputs, targets=examples.targets[rows])
    scorer = recipe.task.scorer_of(examples, examples.classes)
    outputs = np.concatenate(
        [
            _outputs([0.9, 0.1, 0.0, 0.0], [0.9, 0.1, 0.0, 0.0]),
            _outputs([0.1, 0.7, 0.2, 0.0], [0.1, 0.2, 0.7, 0.0]),  # of the piece: "b c"
            _outputs([0.6, 0.4, 0.0, 0.0], [0.6, 0.4, 0.0, 0.0]),  # wrongly none instead of "b"
            _outputs([0.3, 0.7, 0.0, 0.0], [0.3, 0.7, 0.0, 0.0]),  # wrongly "c" instead of none
        ]
    )
    scorer.update(None, outputs[[2, 0]], np.array([2, 0]))
    scorer.update(None, outputs[[3, 1]], np.array([3, 1]))
    found = scorer.result()
    # "b c" for "a b", which is normalized to "b", has F1 2/3.
    assert len(found) == 3
    assert found.exact == 0
    assert found.f1 == pytest.approx(2 / 3 / 3)
    assert found.f1_unanswered == 0
    assert found.f1_answered == pytest.approx(1 / 3)
    # It is best to answer only the first question, whose margin is log(0.01 / 0.49).
    assert found.best_threshold == pytest.approx(math.log(0.01 / 0.49), rel=1e-4)
    assert found.best_f1 == pytest.approx((2 / 3 + 1) / 3)
    assert found.safe_threshold == 0, "one question of three is no evidence"
    wrong = [(one.index, one.predicted, one.expected) for one in found.mistakes()]
    assert wrong[0] == (0, "b c", "a | a b")
    assert (2, "c", "(no answer)") in wrong, "the third question, the fourth row"
    assert (1, "(no answer)", "b") in wrong
    json.dumps(found.to_dict(), allow_nan=False)
    assert "exact match" in str(found)


@once
@pytest.mark.parametrize("margin", [-3.0, 3.0])
def test_many_questions_move_the_threshold_to_the_middle_between_their_margins(margin):
    counted = _Counted(0.0)
    for row in range(20):
        counted.add(row, "cat", ["cat"], score=-4.0, none=-4.0 + margin)
        counted.add(row, "cat", [], score=-4.0, none=-3.0 + margin)
    assert counted.safe_threshold() == pytest.approx(margin + 0.5)
    assert counted.best()[0] == 1


@once
def test_answers_are_found_kept_and_loaded(tmp_path):
    rng = np.random.default_rng(0)
    contexts = tiny_texts(60, 6)
    at = rng.integers(0, 6, 60)
    pairs = [(f"was {text.split()[k]}", text) for k, text in zip(at, contexts, strict=True)]
    answers = [
        (sum(len(word) + 1 for word in text.split()[:k]), text.split()[k])
        for k, text in zip(at, contexts, strict=True)
    ]
    recipe = _recipe(tmp_path)
    stages = [kft.Stage(0, 1, 1e-2), kft.Stage("all", 1, 1e-2)]
    run = recipe.fit((pairs, answers), stages=stages, run_dir=tmp_path / "run", verbose=0)
    assert 0 <= run.evaluation.exact <= run.evaluation.f1 <= 1
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Wrong answers of which the model is sure" in page
    long = ("is it", "É " + " ".join(contexts[:6]))
    found = recipe.predict([pairs[0], long])
    assert len(found) == 2
    for (_, context), one in zip([pairs[0], long], found, strict=True):
        assert context[one.start : one.end] == one.text != ""
    again = kft.load(tmp_path / "run", recipe=TinyTexts).predict(
        {"question": long[0], "context": long[1]}
    )
    assert again[0].text == found[1].text
    assert "<mark" in found._repr_html_()
    written = found.write(tmp_path / "found.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(written[1])["context"] == long[1]


@once
def test_what_is_no_question_is_refused(tmp_path):
    recipe = _recipe(tmp_path)
    with pytest.raises(InputError, match="input 1: no context: pass"):
        recipe.predict(["is it\na film", "is it"])
    with pytest.raises(InputError, match="2 questions, but 1 contexts"):
        recipe.predict((["a", "b"], ["c"]))
    with pytest.raises(InputError, match="longest"):
        Spans(longest=0)
    with pytest.raises(InputError, match="not a finite number"):
        Spans(threshold=math.inf)
