"""Tagging from words to figures: alignment with tokens, counts, predictions."""

import json

import keras_tuner
import numpy as np
import pytest

import kft
from kft.data.unlabelled import Unlabelled
from kft.errors import InputError
from kft.family.predicting import predict_stream
from kft.recipe import tokenization
from kft.recipe.words import pack_words
from kft.tasks import Tagging
from kft.tasks.evaluation.ratios import Ratio
from kft.tasks.tags.entity_f1 import EntityF1
from kft.tasks.tags.layers import TagAccuracy, TagCrossEntropy
from kft.tasks.tags.scheme import scheme_of
from kft.testing.families import TinyTexts, save_tiny_bert, tiny_texts
from kft.tuning.objectives import objective_of
from recipes import BertRecipe

CLASSES = ("O", "B-A", "I-A", "B-B", "I-B")
# The F1 of nervaluate 1.2.1, strategy "partial", on `_drawn(np.random.default_rng(0), 200)`.
NERVALUATE = 0.8039215686274509


def _outputs(tags, starts=None):
    """Return outputs for one text with a word per token, in which these tags have a high score."""
    numbers = [CLASSES.index(tag) for tag in tags]
    scores = np.full((1, len(tags), len(CLASSES)), 0.01, "float32")
    scores[0, np.arange(len(tags)), numbers] = 0.96
    places = np.arange(len(tags), dtype="float32") * 2
    both = np.stack([places, places + 1], axis=-1)[None]
    return np.concatenate([scores, both], axis=-1), np.array([numbers], "int32")


def _scored(*pairs):
    scorer = Tagging().scorer(CLASSES)
    for truth, answer in pairs:
        outputs, _ = _outputs(answer.split())
        scorer.update(_outputs(truth.split())[1], outputs)
    return scorer.result()


@pytest.mark.once
def test_entities_are_counted_whole():
    # Right: A at 0-2. Wrong type: B for A at 3-4. Wrong end: A 5-6 for 5-7. Missed: B at 8-9.
    found = _scored(
        ("B-A I-A O B-A O B-A I-A O B-B", "B-A I-A O B-B O B-A O O O"),
        ("O O", "B-B O"),  # not in the data
    )
    a, b = found.per_type
    assert (a.entities, a.answers, a.right) == (3, 2, 1)
    assert (b.entities, b.answers, b.right) == (1, 2, 0)
    assert found.precision == 1 / 4
    assert found.recall == 1 / 4
    assert found.f1 == 1 / 4
    assert found.f1_macro == pytest.approx((2 * 1 / 5 + 0) / 2)
    assert found.accuracy == pytest.approx(7 / 11)
    assert found.confusion_matrix.tolist() == [[1, 1, 1], [0, 0, 1], [1, 1, 0]]
    assert [(one.index, one.size) for one in found.mistakes()] == [(0, 5.0), (1, 1.0)]
    assert found.mistakes()[0].expected.startswith("A 0 to 3, A 6 to 7")


def _drawn(rng, count):
    """Return texts of random valid tags, and answers in which some tags are others."""
    made = []
    for length in rng.integers(1, 12, count):
        truth = rng.choice(CLASSES, length, p=[0.4, 0.15, 0.2, 0.1, 0.15])
        answer = np.where(rng.random(length) < 0.7, truth, rng.choice(CLASSES, length))
        made.append(tuple(" ".join(_valid(tags.tolist())) for tags in (truth, answer)))
    return made


def _valid(tags):
    """Begin an entity where an I does not follow one of its type."""
    made = ["O"]
    for tag in tags:
        follows = tag[0] != "I" or made[-1][1:] == tag[1:]
        made.append(tag if follows else f"B{tag[1:]}")
    return made[1:]


@pytest.mark.once
def test_entities_that_overlap_are_half_right():
    # Same places with another type: right. Other ends: half right. One of two that overlap with one: half.
    assert _scored(("B-A I-A O", "B-B I-B O")).f1_partial == 1.0
    assert _scored(("B-A I-A O", "B-A O O")).f1_partial == 0.5
    assert _scored(("B-A I-A I-A", "B-A B-B B-A")).f1_partial == pytest.approx(1 / 4)
    assert _scored(("B-A O O", "O B-A O")).f1_partial == 0.0
    found = _scored(*_drawn(np.random.default_rng(0), 200))
    assert found.f1_partial == pytest.approx(NERVALUATE)
    assert found.to_dict()["f1_partial"] == found.f1_partial
    words = Tagging().scorer(("NOUN", "VERB"))
    words.update(np.array([[0]]), np.array([[[0.9, 0.1, 0, 1]]], "float32"))
    assert "f1_partial" not in words.result().figures


@pytest.mark.once
def test_adjacent_entities_are_two():
    assert _scored(("B-A B-A I-A", "B-A B-A I-A")).micro.right == 2
    assert _scored(("B-A B-A I-A", "B-A I-A I-A")).micro.right == 0


@pytest.mark.once
def test_figures_that_are_not_defined_are_none_and_prints():
    found = _scored(("O O", "O O"))
    assert found.f1 is None
    assert found.precision is None
    assert found.f1_macro is None
    assert found.accuracy == 1.0
    assert "Types of entities" in str(found)
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.once
def test_each_word_counts_where_tags_stand_for_words():
    scorer = Tagging().scorer(("NOUN", "VERB"))
    outputs = np.array([[[0.9, 0.1, 0, 1], [0.8, 0.2, 2, 3]]], "float32")
    scorer.update(np.array([[0, 1]]), outputs)
    found = scorer.result()
    assert next(iter(found.figures)) == "accuracy"
    assert found.accuracy == found.f1 == 0.5


@pytest.mark.once
def test_words_that_were_cut_are_told():
    outputs, targets = _outputs(["O", "B-A"])
    targets[0, 0] = -4
    scorer = Tagging().scorer(CLASSES)
    scorer.update(targets, outputs)
    assert scorer.result().cut_words == 3


@pytest.mark.once
def test_an_interval_counts_texts_and_not_words():
    together, apart = Ratio(), Ratio()
    for place in range(20):
        together.add(10 * (place % 2), 10)  # all words of a text are right, or all wrong
        apart.add(5, 10)
    assert together.value == apart.value == 0.5
    low, high = together.interval
    assert low < 0.32
    assert high > 0.68
    assert apart.interval[1] - apart.interval[0] < 0.15


def test_loss_and_accuracy_see_words_alone():
    outputs, targets = _outputs(["O", "B-A", "O", "O"])
    targets[0] = [-3, 1, 2, -1]
    loss = float(TagCrossEntropy()(targets, outputs))
    assert loss == pytest.approx((-np.log(0.96) - np.log(0.01)) / 2, rel=1e-4)
    metric = TagAccuracy()
    metric.update_state(targets, outputs)
    assert float(metric.result()) == 0.5


@pytest.mark.parametrize(
    "tags",
    [
        CLASSES,
        ("O", "I-A", "I-B"),
        ("O", "B-A", "I-A", "E-A", "S-A", "B-B", "I-B", "E-B", "S-B"),
        ("NOUN", "VERB", "O"),
    ],
)
def test_the_metric_counts_entities_as_the_evaluation_does(tags):
    rng = np.random.default_rng(0)
    metric, counts = EntityF1(tags), [0, 0, 0]
    metric = EntityF1.from_config(metric.get_config())
    for _ in range(2):
        truth = rng.integers(0, len(tags), (8, 12))
        answers = np.where(rng.random((8, 12)) < 0.7, truth, rng.integers(0, len(tags), (8, 12)))
        is_word = rng.random((8, 12)) < 0.7  # the others are further pieces of words
        outputs = np.concatenate([np.eye(len(tags))[answers], np.zeros((8, 12, 2))], axis=-1)
        metric.update_state(np.where(is_word, truth, -1), outputs.astype("float32"))
        for words, *both in zip(is_word, truth, answers, strict=True):
            true, found = (
                set(scheme_of(tags, "").spans([tags[n] for n in one[words]])) for one in both
            )
            sizes = map(len, (true, found, true & found))
            counts = [n + size for n, size in zip(counts, sizes, strict=True)]
    assert float(metric.result()) == pytest.approx(2 * counts[2] / (counts[0] + counts[1]))


def test_a_fit_logs_and_compares_f1(tmp_path):
    texts = tiny_texts(24)
    tags = [["B-A" if word == "film" else "O" for word in text.split()] for text in texts]
    recipe = _recipe(tmp_path)
    best = kft.BestEpoch("run", monitor=Tagging.objective)
    stages = [kft.Stage(0, 2, 1e-2)]
    run = recipe.fit((texts, tags), stages=stages, restore_best=best, verbose=0)
    assert len(run.history["val_f1"]) == len(run.history["f1"]) == 2
    assert run.journal["best"]["monitor"] == "val_f1"


@pytest.mark.once
def test_what_is_logged_is_known_before_the_tags_are(tmp_path):
    recipe = TinyTexts(save_tiny_bert(tmp_path / "preset"), task=Tagging())
    for name, direction in (("val_f1", "max"), ("val_loss", "min")):
        assert objective_of(name, recipe) == keras_tuner.Objective(name, direction)


def _recipe(tmp_path, task=None, **arguments):
    preset = save_tiny_bert(tmp_path / "preset")
    return TinyTexts(preset, task=task or Tagging(CLASSES), backbone_dropout=0.0, **arguments)


@pytest.mark.once
def test_words_have_the_tokens_of_their_text(tmp_path):
    recipe = _recipe(tmp_path)
    texts = [
        "the  film's plot.",
        "",
        "Good-bad\tfilm",
        "a\u0301 the é film",
        "not中 is",
        "was " * 30,
    ]
    whole = tokenization.packer(recipe.preprocessor, 12)(texts)
    found = tokenization.packer(recipe.preprocessor, 12, pack_words)(texts)
    for name, tokens in whole.items():
        np.testing.assert_array_equal(found[name], tokens)
    for text, starts, ends in zip(texts, found["word_starts"], found["word_ends"], strict=True):
        content = text.encode()
        words = [content[a:b].decode() for a, b in zip(starts, ends, strict=True) if b > 0]
        assert (
            words[: len(text.split())]
            == [text[a:b] for a, b in kft.tasks.tags.words.words_of(text)][
                : min(len(words), len(text.split()))
            ]
        )


@pytest.mark.once
def test_parts_within_a_word_begin_no_word(tmp_path):
    found = tokenization.packer(_recipe(tmp_path).preprocessor, 8, pack_words)(["good-bad film"])
    assert found["word_starts"][0].tolist() == [-1, 0, 4, 5, 9, -1, -1, -1]
    assert found["word_ends"][0].tolist() == [-1, 8, -1, -1, 13, -1, -1, -1]


@pytest.mark.once
def test_tags_lie_on_the_first_token_of_their_words(tmp_path):
    recipe = _recipe(tmp_path)
    examples = recipe.read(([["good-bad", "U.S.", "film"]], [["B-A", "I-A", "O"]]))
    assert examples.inputs.tolist() == ["good-bad U.S. film"]
    inputs = recipe.load(examples.inputs, 12)
    made = recipe.task.collate(examples.targets, inputs)
    # [CLS] good - bad u . s . film [SEP]
    assert made[0].tolist() == [-1, 1, -1, -1, 2, -1, -1, -1, 0, -1, -1, -1]
    cut = recipe.task.collate(examples.targets, recipe.load(examples.inputs, 6))
    assert cut[0].tolist() == [-2, 1, -1, -1, 2, -1]


@pytest.mark.once
def test_a_tokenizer_that_sees_more_than_words_is_refused(tmp_path, monkeypatch):
    recipe = _recipe(tmp_path)

    def shifted(preprocessor, texts):
        found = pack_words(preprocessor, texts)
        return {**found, "token_ids": found["token_ids"] + 1}

    monkeypatch.setattr(tokenization, "pack_words", shifted)
    with pytest.raises(InputError, match="tokenizes 1 of 1 texts"):
        tokenization.check_words(recipe.preprocessor, ["good film"], "a model")


@pytest.mark.once
def test_a_model_needs_tags(tmp_path):
    with pytest.raises(InputError, match="tags are not known before data are read"):
        _recipe(tmp_path, Tagging()).model  # noqa: B018


def test_a_bare_fit_teaches_tags_that_depend_on_other_words(tmp_path):
    words = [text.split() for text in tiny_texts(24)]
    tags = [
        ["B-A" if "the" in text[i - 1 : i] else "O" for i in range(len(text))] for text in words
    ]
    recipe = BertRecipe(save_tiny_bert(tmp_path / "preset"), task=Tagging())
    run = recipe.fit((words, tags), (words, tags), verbose=0, finish=kft.Finish(report=False))
    assert run.history["stage"].count(2) == 60
    assert run.history["val_f1"][-1] > 0.7  # a quarter of these epochs find no entity


def test_entities_are_found_where_they_are(tmp_path):
    recipe = _recipe(tmp_path, Tagging())
    words = [text.split() for text in tiny_texts(60)]
    tags = [["B-A" if word == "film" else "O" for word in text] for text in words]
    recipe.fit((words, tags), 0.2, stages=[kft.Stage(0, solve=True)], verbose=0)
    assert recipe.classes == recipe.task.tags == ("O", "B-A", "I-A")
    texts = [f"É {' '.join(text)}" for text in words[:8] if "film" in text[1:]]
    found = recipe.predict(texts)
    told = [one for some in found for one in some if one.text == "film"]
    assert told
    for text, some in zip(texts, found, strict=True):
        assert all(text[one.start : one.end] == one.text for one in some)
    path = found.write(tmp_path / "found.parquet")
    import pandas as pd

    rows = pd.read_parquet(path)["entities"]
    assert [len(row) for row in rows] == [len(some) for some in found]
    assert "<mark" in found._repr_html_()
    assert "A: film" in str(found)
    # Entities of a text in a file are cut out of its content, not of its name.
    (tmp_path / "one.txt").write_text(texts[0], encoding="utf-8")
    inputs = Unlabelled([str(tmp_path / "one.txt")], modality="text")
    (answers,) = predict_stream(recipe, inputs)
    assert answers[0] == found[0]
