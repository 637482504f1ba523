"""Tagging schemes, how they are read, and which sequences are valid."""

import itertools
import json

import numpy as np
import pytest

from kft.data.raw_labels import RawLabels
from kft.data.read import read
from kft.errors import InputError
from kft.tasks import Tagging
from kft.tasks.forms import takes_count
from kft.tasks.saved import described, restored
from kft.tasks.tags.scheme import Scheme, scheme_of
from kft.tasks.tags.viterbi import best_tags
from kft.tasks.tags.words import words_of

pytestmark = pytest.mark.once

BIO, BIOES, IO = Scheme("BI"), Scheme("BIES"), Scheme("I")

# By the rules of conlleval, B, a change of type and a tag after O begin an entity.
SPANS = {
    "an entity": ("O B-A I-A O", [(1, 3, "A")]),
    "at the end": ("O B-A I-A", [(1, 3, "A")]),
    "adjacent B-": ("B-A B-A I-A", [(0, 1, "A"), (1, 3, "A")]),
    "I- after O": ("O I-A I-A", [(1, 3, "A")]),
    "I- of another type": ("B-A I-B", [(0, 1, "A"), (1, 2, "B")]),
    "I- of another type after I-": ("I-A I-B I-B", [(0, 1, "A"), (1, 3, "B")]),
    "a dash in the type": ("B-A-x I-A-x", [(0, 2, "A-x")]),
    "single and whole": ("S-A B-A I-A E-A O", [(0, 1, "A"), (1, 4, "A")]),
    "E- ends": ("B-A E-A I-A", [(0, 2, "A"), (2, 3, "A")]),
    "E- alone": ("O E-A O", [(1, 2, "A")]),
    "S- amid": ("B-A S-A I-A", [(0, 1, "A"), (1, 2, "A"), (2, 3, "A")]),
    "U- and L-": ("U-A B-B L-B", [(0, 1, "A"), (1, 3, "B")]),
    "nothing": ("O O", []),
    "no words": ("", []),
}


@pytest.mark.parametrize("name", SPANS)
def test_entities_are_those_of_conlleval(name):
    tags, expected = SPANS[name]
    assert BIO.spans(tags.split()) == expected


@pytest.mark.parametrize("scheme", [BIO, BIOES], ids=lambda one: one.name)
def test_tags_name_the_entities_that_they_were_made_of(scheme):
    spans = [(0, 1, "A"), (1, 4, "B"), (5, 6, "B")]
    assert scheme.spans(scheme.tags(spans, 7)) == spans


def test_adjacent_entities_of_one_type_are_one_in_io():
    assert IO.spans(IO.tags([(0, 1, "A"), (1, 2, "A"), (2, 3, "B")], 3)) == [
        (0, 2, "A"),
        (2, 3, "B"),
    ]


SCHEMES = {
    "BIO": ["O", "B-A", "I-A"],
    "BIOES": ["O", "B-A", "S-A"],
    "IO": ["O", "I-A"],
    "a tag for each word": ["NOUN", "VERB", "O"],
}


@pytest.mark.parametrize("name", SCHEMES)
def test_the_scheme_is_found_from_the_names(name):
    assert scheme_of(SCHEMES[name], "tags").name == name


@pytest.mark.parametrize("tags", [["O"], ["B-A", "NOUN"], ["B", "I", "O"]])
def test_tags_of_no_scheme_are_refused(tags):
    with pytest.raises(InputError, match=r"tags of no known scheme|no tag but 'O'"):
        scheme_of(tags, "train.conll")


@pytest.mark.parametrize("scheme", [BIO, BIOES, IO, Scheme("")], ids=lambda one: one.name)
def test_the_best_valid_tags_are_those_of_trying_all(scheme):
    classes = scheme.classes(["A", "B"])
    rng = np.random.default_rng(0)
    counts = np.array([3, 1, 2])
    scores = rng.dirichlet(np.ones(len(classes)), (3, 3))
    found = best_tags(scores, counts, classes, scheme)
    for row, count in enumerate(counts):
        valid = [
            tags
            for tags in itertools.product(range(len(classes)), repeat=int(count))
            if scheme.may_begin(classes[tags[0]])
            and scheme.may_end(classes[tags[-1]])
            and all(scheme.may_follow(classes[a], classes[b]) for a, b in itertools.pairwise(tags))
        ]
        best = max(valid, key=lambda tags: np.log(scores[row, np.arange(count), tags]).sum())
        assert found[row].tolist() == [*best, *[0] * (3 - count)]


def test_valid_tags_begin_with_no_i():
    assert not BIO.may_begin("I-A")
    assert not BIO.may_follow("B-A", "I-B")
    assert BIO.may_follow("I-A", "B-A")
    assert not BIOES.may_end("B-A")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The U.N. met.", ["The", "U.N", ".", "met", "."]),
        ("Germany's well-known", ["Germany", "'", "s", "well-known"]),
        ("(a/b) http://x", ["(", "a/b", ")", "http", ":", "/", "/", "x"]),
        ("中文 e\u0301te\u0301", ["中", "文", "e\u0301te\u0301"]),
        (" \u200b\t", []),
    ],
)
def test_words_of_running_text(text, expected):
    assert [text[start:end] for start, end in words_of(text)] == expected


@pytest.mark.parametrize(
    "block", [0x4E00, 0x3400, 0x20000, 0x2A700, 0x2B740, 0x2B820, 0xF900, 0x2F800]
)
def test_the_characters_that_stand_alone_in_bert_stand_alone(block):
    """Test each block in the list of BERT's tokenizer, which does not have Hangul and Kana."""
    letter, hangul = chr(block + 5), chr(0xAC05)
    assert words_of(f"a{letter}b") == [(0, 1), (1, 2), (2, 3)]
    assert words_of(f"a{hangul}b") == [(0, 3)]


def _tags(examples, index=0):
    return [examples.classes[n] for n in examples.targets[index][:, 1]]


def _read(source, **arguments):
    return read(source, task=Tagging(), modality="text", **arguments)


def test_conll_files_are_read(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text(
        "-DOCSTART- -X- O O\n\nÜ NNP I-NP I-PER\nB. NNP I-NP I-PER\nruns VB O O\n\n\nBonn NNP I-NP B-LOC\n"
    )
    found = _read(path)
    assert found.inputs.tolist() == ["Ü B. runs", "Bonn"]
    assert found.classes == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert _tags(found) == ["B-PER", "I-PER", "O"]  # the first I begins the entity
    assert found.targets[0][:, 0].tolist() == [0, 3, 6]  # bytes


def test_universal_dependencies_are_read(tmp_path):
    path = tmp_path / "a.conllu"
    path.write_text(
        "# text = dámelo\n1-2\tdámelo\t_\t_\n1\tda\tdar\tVERB\t_\n2\tlo\tél\tPRON\t_\n\n"
    )
    found = _read(path)
    assert (found.inputs.tolist(), _tags(found)) == (["da lo"], ["VERB", "PRON"])


def test_entities_by_characters_are_read(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [
        {"text": "Né à Nîmes-Sud.", "entities": [[5, 10, "LOC"]]},
        {"text": "nothing here", "entities": []},
        {"words": ["in", "Bonn"], "tags": ["O", "B-LOC"]},
    ]
    path.write_text("\n".join(map(json.dumps, lines[:2])))
    found = _read(path)
    assert _tags(found) == ["O", "O", "B-LOC", "O", "O"]
    start = found.targets[0][2, 0]
    assert found.inputs[0].encode()[start:].decode() == "Nîmes-Sud."
    path.write_text(json.dumps(lines[2]))
    assert _tags(_read(path)) == ["O", "B-LOC"]


def test_tables_with_words_and_tags_are_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('text,label\n"Ada ran","B-PER O"\n')
    assert _tags(_read(path)) == ["B-PER", "O"]


BAD = {
    "fewer tags": (["a b"], [["O"]], "1 tags for 2 words"),
    "no tag": (["a b"], [["O", None]], "is not a tag"),
    "beyond the text": (["a b"], [[(0, 9, "X")]], "does not lie in a text of 3 characters"),
    "within a letter": (["e\u0301a b"], [[(0, 1, "X")]], "splits the character at 1"),
    "overlapping": (["a b c"], [[(0, 3, "X"), (2, 5, "Y")]], "entities overlap"),
    "of no word": (["a b"], [[(1, 2, "X")]], "no word lies in 1 to 2"),
    "a far place": (["a b"], [[(0, 10**400, "X")]], "0 to 1000"),
    "half a letter": (["a b"], [[(0, 1, "\ud800")]], "is not an entity: expected"),
    "a broken text": (["\ud800 b"], [[(2, 3, "X")]], "not UTF-8"),
    "no entity": (["a b"], [[(0, "X")]], "is not an entity: expected"),
    "an empty text": ([" "], [[]], "empty text"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_labels_are_told_or_skipped(name):
    texts, labels, expected = BAD[name]
    texts, labels = [*texts, "Ada"], [*labels, [(0, 3, "X")]]
    if not isinstance(labels[0][0] if labels[0] else (), tuple):
        labels[-1] = ["B-X"]
    with pytest.raises(InputError, match=expected):
        _read((texts, labels))
    if name != "an empty text":
        skipped = _read((texts, labels), on_bad_example="skip").skipped
        assert [one.name for one in skipped] == ["example 0"]


def test_offsets_may_be_numpys():
    spans = [(np.int64(0), np.int32(1), "X")]
    for label in (spans, np.array(spans, object)):
        examples = _read((np.array(["a b"]), [label]))
        assert examples.targets[0].tolist() == [[0, 1], [2, 0]]


def test_tags_that_are_not_unicode_are_bad_before_training(tmp_path):
    path = tmp_path / "a.conll"
    path.write_bytes(b"Ada B-PER\n\nBob B-P\xc9R\n")
    with pytest.raises(InputError, match=r"(?s)1 bad example:.*line 3: .* is not a tag"):
        _read(path)


class Counted(int):
    """An integer that counts its comparisons."""

    comparisons = 0

    def __lt__(self, other):
        Counted.comparisons += 1
        return int(self) < other

    def __le__(self, other):
        Counted.comparisons += 1
        return int(self) <= other

    def __gt__(self, other):
        Counted.comparisons += 1
        return int(self) > other

    def __ge__(self, other):
        Counted.comparisons += 1
        return int(self) >= other


def test_words_and_entities_do_not_meet_each_other_one_by_one():
    """A text of 20,000 words took a minute when each word was compared with each entity."""
    count = 1_000
    spans = [(Counted(place), Counted(place + 1), "X") for place in range(0, 2 * count, 2)]
    Counted.comparisons = 0
    examples = _read((["a " * count], [spans]))
    assert len(examples.targets[0]) == count
    assert count < Counted.comparisons < 100 * count


def test_a_bad_line_of_a_file_is_named(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("a O\nb\n\nc B-X\n")
    with pytest.raises(
        InputError, match=r"a.conll has 1 bad example:\n  line 1: line 2 has 1 column:"
    ):
        _read(path)
    assert len(_read(path, on_bad_example="skip")) == 1


def test_an_unknown_type_is_told_and_other_schemes_are_converted():
    training = ("O", "B-X", "I-X")
    found = read(
        (["a b c"], [["B-X", "E-X", "S-X"]]), task=Tagging(), modality="text", classes=training
    )
    assert _tags(found) == ["B-X", "I-X", "B-X"]
    with pytest.raises(InputError, match="'B-Y' was not seen in training"):
        read((["a"], [["B-Y"]]), task=Tagging(), modality="text", classes=training)


@pytest.mark.parametrize("label", [None, float("nan"), 3, "PER"])
def test_a_text_without_its_entities_is_not_one_without_entities(label):
    texts, labels = ["Ada was", "Bob came", "nobody"], [[(0, 3, "PER")], label, []]
    with pytest.raises(InputError, match=r"1 bad example.*\n.*(no label|not a list of entities)"):
        read((texts, labels), task=Tagging(), modality="text")
    found = read((texts, labels), task=Tagging(), modality="text", on_bad_example="skip")
    assert [len(row[row[:, 1] > 0]) for row in found.targets] == [1, 0]


def test_data_in_which_nothing_is_found_can_be_tested_on():
    classes = ("O", "B-PER", "I-PER")
    data = ["nobody came", "nor went"], [[], []]
    found = read(data, task=Tagging(), modality="text", classes=classes)
    assert [row[:, 1].tolist() for row in found.targets] == [[0, 0], [0, 0]]


def test_tags_without_their_texts_are_refused():
    raw = RawLabels([["O"]], ["example 0"], "a stream")
    with pytest.raises(InputError, match="not the texts that they belong to"):
        Tagging().targets(raw)


def test_words_with_spaces_are_refused():
    with pytest.raises(InputError, match=r"'a b' \(str\) is not a word"):
        _read(([["a b", "c"]], [["B-X", "O"]]))


def test_a_file_of_another_kind_is_told_which_there_are(tmp_path):
    (tmp_path / "a.xml").write_text("<a/>")
    with pytest.raises(
        InputError, match=r"is a .xml file.*'tagging' also files that end in .conll"
    ):
        _read(tmp_path / "a.xml")


def test_the_data_say_the_tags():
    assert not takes_count("tagging")
    assert takes_count("single_label")
    task = Tagging().for_classes(("O", "B-X", "I-X"))
    assert restored(described(task)) == task
    assert described(Tagging()) == "tagging"


def test_texts_that_cannot_be_read_are_named_before_what_the_others_lack(tmp_path):
    """A file whose only entity is in a bad line has no other tag than O."""
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"text": "Ada", "entities": []}\n{"text": "Bob", "entities": [{"start": 0}]}\n'
    )
    with pytest.raises(InputError, match=r"(?s)has 1 bad example.*line 2: .*is not an entity"):
        _read(path)
    with pytest.raises(InputError, match="has no tag but 'O'"):
        read(path, task=Tagging(), modality="text", on_bad_example="skip")
