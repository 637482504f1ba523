"""Long texts are tagged in overlapping pieces, whose words are joined again."""

import itertools
import warnings

import numpy as np
import pytest

import kft
from kft.data.parts import Piece, as_piece
from kft.data.read import read
from kft.data.split import split
from kft.family.reopening import reopen, report_again, with_evaluation
from kft.tasks import Spans, Tagging
from kft.tasks.predictions import EntityPredictions
from kft.tasks.tags.words import words_of
from kft.testing.families import TinyTexts, save_tiny_bert, tiny_texts

CLASSES = ("O", "B-A", "I-A")
LONG = " ".join(["the café film was good-bad", "a plot . is U.S. not"] * 9)
LENGTH = 16  # tokens of a piece, two of which are its ends


@pytest.fixture
def recipe(tmp_path):
    preset = save_tiny_bert(tmp_path / "preset")
    return TinyTexts(preset, task=Tagging(), sequence_length=LENGTH, backbone_dropout=0.0)


def tagged(texts):
    """Return texts as words, of which "film" and the word after it are an entity."""
    words = [text.split() for text in texts]
    return words, [
        ["B-A" if one == "film" else "I-A" if before == "film" else "O" for before, one in pairs]
        for pairs in ([*zip(["", *some], some, strict=False)] for some in words)
    ]


@pytest.mark.once
def test_each_word_belongs_to_one_piece_in_which_it_is_not_divided(recipe):
    pieces = recipe.in_pieces([LONG, "good film", ""])
    assert [str(piece) for piece in pieces[-2:]] == ["good film", ""]
    pieces = pieces[:-2]
    assert len(pieces) > 5
    whole = LONG.encode()
    firsts, ends = map(set, zip(*words_of(LONG), strict=True))
    inputs = recipe.load(pieces)
    own = []
    for row, piece in enumerate(pieces):
        assert piece.whole == LONG
        assert whole[piece.offset :].startswith(piece.encode())
        first, end = (
            len(whole[:at].decode()) for at in (piece.offset, piece.offset + len(piece.encode()))
        )
        assert first in firsts
        assert end in ends
        tokens = inputs["padding_mask"][row].sum()
        assert tokens == LENGTH or tokens > LENGTH - 6  # a word more would not fit
        chosen = inputs["word_ends"][row] > 0
        places = np.stack([inputs[name][row, chosen] for name in ("word_starts", "word_ends")])
        for first, end in (places + piece.offset).T:
            if piece.own[0] <= first < piece.own[1]:
                own.append((len(whole[:first].decode()), len(whole[:end].decode())))
    assert own == words_of(LONG)


@pytest.mark.once
def test_the_words_of_a_piece_are_those_nearer_to_its_middle(recipe):
    pieces = recipe.in_pieces([LONG])
    for one, other in itertools.pairwise(pieces):
        overlap = other.offset, one.offset + len(one.encode())
        assert one.own[1] == other.own[0]
        assert abs(one.own[1] - sum(overlap) / 2) <= 10  # bytes, about a word


@pytest.mark.once
def test_the_tags_of_a_piece_are_those_of_its_own_words(recipe):
    examples = recipe.read(tagged([LONG, "good film was"]))
    rows = zip(examples.inputs, examples.targets, strict=True)
    found = [(as_piece(text), row[:, 0] + as_piece(text).offset, row[:, 1]) for text, row in rows]
    places = np.concatenate([at for piece, at, _ in found if piece.whole == LONG])
    tags = np.concatenate([tags for piece, _, tags in found if piece.whole == LONG])
    assert len(places) == len(LONG.split())
    assert (np.diff(places) > 0).all()
    assert [examples.classes[tag] for tag in tags] == tagged([LONG])[1][0]
    assert recipe.read(examples).inputs.tolist() == examples.inputs.tolist()


@pytest.mark.once
def test_a_split_does_not_divide_a_text(recipe):
    examples = recipe.read(tagged([f"{text} {LONG}" for text in tiny_texts(12)]))
    assert len(examples) > 60
    train, held_out = split(examples, 0.25, 0)
    sides = [{as_piece(text).whole for text in one.inputs} for one in (train, held_out)]
    assert not sides[0] & sides[1]
    assert sorted(map(len, sides)) == [3, 9]


def outputs_of(recipe, examples):
    """Return the outputs of a model that knows the tags, and the targets."""
    inputs = recipe.load(examples.inputs)
    targets = examples.task.collate(examples.targets, inputs)
    scores = np.eye(len(CLASSES), dtype="float32")[np.maximum(targets, 0)]
    places = np.stack([inputs["word_starts"], inputs["word_ends"]], axis=-1)
    return np.concatenate([scores, places.astype("float32")], axis=-1), targets


@pytest.mark.once
def test_the_evaluation_counts_texts_and_not_pieces(recipe):
    texts = ["good film was", LONG, "a plot", LONG]
    examples = recipe.read(tagged(texts), classes=CLASSES)
    outputs, targets = outputs_of(recipe, examples)
    scorer = recipe.task.scorer_of(examples, CLASSES)
    order = np.random.default_rng(0).permutation(len(examples))
    for rows in np.array_split(order, 5):  # as batches by length come
        scorer.update(targets[rows], outputs[rows], rows)
    found = scorer.result()
    (metrics,) = found.per_type
    assert (metrics.entities, metrics.answers, metrics.right) == (19, 19, 19)
    assert len(found.examples) == 4
    assert found.cut_words == 0
    assert found.words.value == 1.0


@pytest.mark.once
def test_a_mistake_is_told_with_its_place_in_the_whole_text(recipe):
    examples = recipe.read(tagged(["a plot", LONG]), classes=CLASSES)
    outputs, targets = outputs_of(recipe, examples)
    row, at = np.argwhere(targets == 1)[5]
    outputs[row, at : at + 2, :3] = 1.0, 0.0, 0.0  # the sixth entity is missed
    scorer = recipe.task.scorer_of(examples, CLASSES)
    scorer.update(targets, outputs)
    (mistake,) = scorer.result().mistakes()
    assert mistake.index == 1
    assert "A 206 to 214, A 255 to 263, A 304 to 312" in mistake.expected
    assert "A 206 to 214, A 304 to 312" in mistake.predicted


@pytest.mark.once
def test_what_is_left_of_a_text_is_counted_if_pieces_are_missing(recipe):
    examples = recipe.read(tagged([LONG]), classes=CLASSES)
    outputs, targets = outputs_of(recipe, examples)
    scorer = recipe.task.scorer_of(examples, CLASSES)
    scorer.update(targets[1:], outputs[1:], np.arange(1, len(examples)))
    found = scorer.result()
    assert 0 < found.per_type[0].right < 9
    assert list(found.examples) == [0]


@pytest.mark.once
def test_predictions_join_the_pieces_of_a_text(recipe):
    examples = recipe.read(tagged(["film was", LONG, "a plot"]), classes=CLASSES)
    outputs, _ = outputs_of(recipe, examples)
    found = EntityPredictions.of(list(examples.inputs), outputs, CLASSES)
    assert list(found.inputs) == ["film was", LONG, "a plot"]
    assert [len(some) for some in found] == [1, 9, 0]
    for text, some in zip(found.inputs, found, strict=True):
        assert all(one.text == text[one.start : one.end] == "film was" for one in some)


def test_a_tagger_of_short_texts_tags_long_ones(recipe, tmp_path):
    texts = tiny_texts(60)
    words, _ = tagged(texts)
    tags = [["B-A" if word == "film" else "O" for word in some] for some in words]
    recipe.fit((words, tags), 0.2, stages=[kft.Stage(0, solve=True)], verbose=0)
    long = [" ".join(texts[:30]), texts[0]]
    found = recipe.predict(long)
    assert list(found.inputs) == long
    right = [one.start for one in found[0] if one.text == "film"]
    assert set(right) <= {at for at in range(len(long[0])) if long[0].startswith("film", at)}
    assert max(right) > 200  # the first piece has fewer than a hundred characters
    labels = [["B-A" if word == "film" else "O" for word in text.split()] for text in long]
    evaluation = recipe.evaluate((long, labels))
    assert evaluation.cut_words == 0
    assert len(evaluation.examples) == 2
    assert evaluation.per_type[0].entities == sum(text.count("film") for text in long)
    again = kft.load(recipe.save(tmp_path / "saved"), recipe=TinyTexts)
    assert again.predict(long).columns() == found.columns()


class WholeTexts(Tagging):
    joins_pieces = False


@pytest.mark.once
def test_a_task_that_does_not_join_pieces_gets_whole_texts(tmp_path):
    recipe = TinyTexts(
        save_tiny_bert(tmp_path / "preset"), task=WholeTexts(), sequence_length=LENGTH
    )
    assert recipe.in_pieces([LONG]) == [LONG]
    assert not isinstance(recipe.in_pieces([LONG])[0], Piece)


@pytest.mark.once
@pytest.mark.parametrize("task", [Tagging(), Spans()])
def test_the_page_of_a_run_shows_whole_texts(tmp_path, task):
    texts = tiny_texts(24)
    first, *long = (" ".join(texts[n : n + 9]) for n in range(3))
    words, tags = tagged([first, *texts[:3], *long])
    data = words, tags
    if isinstance(task, Spans):
        data = [("was it", " ".join(one)) for one in words], [(0, one[0]) for one in words]
    recipe = TinyTexts(save_tiny_bert(tmp_path / "preset"), task=task, sequence_length=LENGTH)
    place = tmp_path / "run"
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # the page would fail with one
        run = recipe.fit(data, data, stages=[kft.Stage(0, 1, 1e-3)], run_dir=place, verbose=0)
    assert len(run.validation) > len(run.evaluation) == 6
    assert list(run.evaluation.examples) == list(range(6))
    worst = " ".join(words[run.evaluation.mistakes()[0].index])[:200]
    assert worst in (place / "report.html").read_text(encoding="utf-8")
    opened, evaluation = reopen(place, recipe=TinyTexts), recipe.evaluate(data)
    for source in (recipe.read(data), read(data, task=task, modality="text")):
        page = report_again(with_evaluation(opened, evaluation, source), place / "again.html")
        assert worst in page.read_text(encoding="utf-8")
