import json
import os
import shutil

import keras
import numpy as np
import pytest

from kft.data.augment import TextAugmentation
from kft.errors import InputError
from kft.family import saving
from kft.model.blocks import find_anatomy
from kft.recipe.token_graphs import with_length
from kft.recipe.tokenization import LONGEST_TEXT
from kft.stages.stage import Stage
from kft.stages.table import plan_table
from kft.tasks import Tagging
from recipes import BertRecipe
from tests.recipes import tiny_bert

SHORT = [Stage("all", 1, 1e-3)]
TEXTS = ["the film was good !", "the plot was bad .", "great actors", "awful", "not good"]


def reviews(count=40):
    rng = np.random.default_rng(0)
    y = np.arange(count) % 2
    words = {0: ["bad", "awful"], 1: ["good", "great"]}
    x = [
        " ".join(["the", rng.choice(["film", "plot"]), "was", rng.choice(words[label])])
        for label in y
    ]
    return x, y


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    return tiny_bert.save_preset(tmp_path_factory.mktemp("bert") / "preset")


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory):
    return tiny_bert.save_hugging_face(tmp_path_factory.mktemp("bert") / "hugging_face")


def fit(recipe, data, stages=SHORT, **settings):
    settings = {"batch_size": 8, "verbose": 0, "early_stopping": None, **settings}
    return recipe.fit(data, data, stages=stages, **settings)


def test_a_preset_folder_and_a_hugging_face_folder_are_the_same_model(preset, hugging_face):
    one, other = BertRecipe(preset, num_classes=2), BertRecipe(hugging_face, num_classes=2)
    np.testing.assert_allclose(
        one.predict(TEXTS).scores, other.predict(TEXTS).scores, rtol=1e-5, atol=1e-6
    )


def test_bytes_that_are_no_text_are_named(preset):
    recipe = BertRecipe(preset, num_classes=2)
    with pytest.raises(InputError, match=r"input 1: not UTF-8 at byte 2: decode it first"):
        recipe.predict([b"great", "gr\u00fc\u00df".encode("latin-1")])


def test_of_a_text_without_end_the_beginning_is_tokenised(preset):
    recipe = BertRecipe(preset, num_classes=2, sequence_length=12)
    blank = " " * LONGEST_TEXT
    packed = recipe.load(["good" + blank[4:] + "film", "good", blank + "film", ""])
    for tokens in packed.values():
        np.testing.assert_array_equal(tokens[0], tokens[1])
        np.testing.assert_array_equal(tokens[2], tokens[3])


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
def test_padding_changes_no_answer(preset, pooling):
    recipe = BertRecipe(preset, num_classes=3, pooling=pooling)
    scores = [recipe.model.predict_on_batch(recipe.load(TEXTS, length)) for length in (10, 16, 32)]
    for other in scores[1:]:
        np.testing.assert_allclose(scores[0], other, rtol=1e-4, atol=1e-6)


def test_the_model_is_flat_and_every_transformer_layer_a_block(preset):
    recipe = BertRecipe(preset, num_classes=2)
    anatomy = find_anatomy(recipe.model)
    assert [layer.name for layer in anatomy.head.layers] == ["predictions"]
    names = [block.name for block in anatomy.blocks]
    assert names[:2] == ["transformer_layer_1", "transformer_layer_0"]


@pytest.mark.once
def test_default_stages_fit_encoders_of_any_depth(preset):
    recipe = BertRecipe(preset, num_classes=2)
    stages = recipe.default_stages()
    assert [stage.label for stage in stages] == ["solved head", "all"]
    assert "transformer_layer_1" in str(plan_table(recipe.model, stages))
    assert [recipe.default_stages(steps)[1].epochs for steps in (1, 50, 1000)] == [15, 10, 3]
    recipe = BertRecipe(preset, task=Tagging(("O", "B-A", "I-A")))
    assert [recipe.default_stages(steps)[1].epochs for steps in (1, 50, 1000)] == [60, 10, 3]


@pytest.mark.once
def test_accents_are_stripped_where_hugging_face_strips_them(hugging_face, tmp_path):
    recipe = BertRecipe(hugging_face, num_classes=2)
    word = tiny_bert.VOCABULARY.index("cafe")
    assert recipe.load(["Café"])["token_ids"][0, 1] == word
    kept = shutil.copytree(hugging_face, tmp_path / "kept")
    path = kept / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "strip_accents": False}))
    unknown = tiny_bert.VOCABULARY.index("[UNK]")
    assert BertRecipe(kept, num_classes=2).load(["Café"])["token_ids"][0, 1] == unknown


def test_the_whole_path_from_fit_to_load(preset, tmp_path):
    recipe = BertRecipe(preset, num_classes=2, classes=["negative", "positive"])
    stages = [Stage(0, 1, 1e-2), Stage(1, 1, 1e-2), Stage("all", 12, 1e-2, warmup=0.1)]
    x, y = reviews(48)
    labels = [recipe.classes[label] for label in y]
    run = fit(recipe, (x, labels), stages, run_dir=tmp_path / "run")
    assert run.history["stage"] == [1, 2] + [3] * 12
    assert recipe.evaluate((x, labels)).accuracy > 0.9
    assert recipe.predict("the film was great").labels == ["positive"]
    loaded = saving.load(tmp_path / "run")
    assert loaded.preset == str(preset)
    assert loaded.length == recipe.length
    np.testing.assert_allclose(
        loaded.predict(TEXTS).scores, recipe.predict(TEXTS).scores, rtol=1e-5, atol=1e-6
    )


def test_texts_of_any_length_have_features_of_their_own(preset, monkeypatch):
    x, y = reviews(40)
    x = [f"{text} {'very ' * (8 * (index % 3))}good" for index, text in enumerate(x)]
    stages = [Stage(1, 2, 1e-2)]
    lengths, histories = [], {}
    load = BertRecipe.load

    def watched(self, texts, length=None):
        lengths.append(length)
        return load(self, texts, length)

    monkeypatch.setattr(BertRecipe, "load", watched)
    for cache in (False, True):
        recipe = BertRecipe(preset, num_classes=2, backbone_dropout=0.0, dropout=0.0)
        lengths.clear()
        run = recipe.fit(
            (x[:32], y[:32]), (x[32:], y[32:]), stages=stages, cache=cache, early_stopping=None,
            batch_size=8, verbose=0,
        )  # fmt: skip
        histories[cache] = run.history
    for name in ("loss", "val_loss"):
        assert histories[True][name] == pytest.approx(histories[False][name], rel=1e-5)
    assert len(set(lengths) - {None}) > 2, "the frozen part ran at the lengths that texts need"
    evaluation = recipe.evaluate((x[32:], y[32:]))
    np.testing.assert_array_equal(evaluation.targets, y[32:])
    np.testing.assert_allclose(
        evaluation.scores, recipe.predict(x[32:]).scores, rtol=1e-5, atol=1e-6
    )


@pytest.mark.once
def test_a_run_needs_its_preset_no_more(preset, tmp_path):
    copy = shutil.copytree(preset, tmp_path / "preset")
    recipe = BertRecipe(copy, num_classes=2)
    expected = recipe.predict(TEXTS).scores
    recipe.save(tmp_path / "run")
    shutil.rmtree(copy)
    loaded = saving.load(tmp_path / "run")
    np.testing.assert_allclose(loaded.predict(TEXTS).scores, expected, atol=1e-6)
    again = saving.load(loaded.save(tmp_path / "again"))
    np.testing.assert_allclose(again.predict(TEXTS).scores, expected, atol=1e-6)


@pytest.mark.once
def test_the_sequence_length_follows_the_texts_unless_it_is_given(preset):
    recipe = BertRecipe(preset, num_classes=2)
    recipe.learn(recipe.read(reviews(16)))
    assert recipe.length == 8  # six tokens, rounded up
    assert recipe.load(["good " * 50])["token_ids"].shape == (1, 8)
    given = BertRecipe(preset, num_classes=2, sequence_length=12)
    given.learn(given.read(reviews(16)))
    assert given.length == 12


@pytest.mark.once
@pytest.mark.parametrize("augment", ["standard", TextAugmentation(deletion=0.3)])
def test_texts_can_be_augmented(preset, augment):
    run = fit(BertRecipe(preset, num_classes=2), reviews(16), augment=augment)
    assert np.isfinite(run.history["loss"]).all()


def test_dropout_of_the_encoder_is_an_argument(preset):
    recipe = BertRecipe(preset, num_classes=2, backbone_dropout=0.37)
    assert recipe.encoder.dropout == 0.37


def test_without_pretrained_weights_the_encoder_starts_anew(preset):
    def first(**arguments):
        model = BertRecipe(preset, num_classes=2, **arguments).model
        return keras.ops.convert_to_numpy(model.get_layer("token_embedding").embeddings)

    assert not np.array_equal(first(), first(weights=None))
    assert np.array_equal(first(weights=None), first(weights=None))


@pytest.mark.once
def test_a_tf_dataset_of_texts_is_tokenized_on_the_way(preset):
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices(reviews(16)).batch(8)
    recipe = BertRecipe(preset, num_classes=2)
    run = recipe.fit(data, data, stages=SHORT, verbose=0)
    assert recipe.evaluate(data).accuracy == run.evaluation.accuracy


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("config.json", "config.json"),
        ("vocab.txt", "vocab.txt"),
        ("tokenizer_config.json", "tokenizer_config.json"),
        ("model.safetensors", "model.safetensors"),
    ],
)
def test_a_folder_that_lacks_a_file_names_it(hugging_face, tmp_path, name, needs):
    folder = shutil.copytree(hugging_face, tmp_path / "bert")
    (folder / name).unlink()
    with pytest.raises(InputError, match=needs):
        BertRecipe(folder, num_classes=2).predict(TEXTS)


@pytest.mark.once
@pytest.mark.parametrize("preset", ["bert_tiny_en_uncased", "no_such_preset"])
def test_a_preset_that_cannot_be_fetched_says_what_to_bring(preset, monkeypatch, tmp_path):
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    with pytest.raises(
        InputError, match=r"could not be fetched: is there a network.* model\.safetensors"
    ):
        _ = BertRecipe(preset, num_classes=2).model


@pytest.mark.once
def test_a_missing_folder_is_refused_without_asking_the_network(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        _ = BertRecipe(tmp_path / "nothing", num_classes=2).model


@pytest.mark.once
def test_a_preset_of_another_family_is_refused(tmp_path):
    import keras_hub

    other = keras_hub.models.DistilBertBackbone(
        vocabulary_size=10, num_layers=1, num_heads=1, hidden_dim=4, intermediate_dim=4
    )
    other.save_to_preset(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="cannot be loaded by BertRecipe"):
        _ = BertRecipe(tmp_path, num_classes=2).model


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"pooling": "avg"}, "pooling='avg'"),
        ({"weights": "imagenet"}, "weights='imagenet'"),
        ({"sequence_length": 2}, "sequence_length=2"),
        ({"sequence_length": 64}, "sequence_length=64.*at most 32 tokens"),
        ({"backbone_dropout": 1}, "backbone_dropout=1"),
    ],
)
def test_a_bad_argument_is_named_with_its_value(preset, arguments, named):
    with pytest.raises(InputError, match=named):
        _ = BertRecipe(preset, num_classes=2, **arguments).model


@pytest.mark.once
def test_an_unknown_augmentation_is_named(preset):
    with pytest.raises(InputError, match="augment='sepia'"):
        fit(BertRecipe(preset, num_classes=2), reviews(16), augment="sepia")


def test_a_real_minilm_finds_similar_texts_similar():
    folder = os.environ.get("KFT_MINILM")
    if folder is None:
        pytest.skip("KFT_MINILM names no Hugging Face folder of MiniLM")
    recipe = BertRecipe(folder, num_classes=2)
    sentences = ["A cat sits on the mat.", "A kitten rests on a rug.", "Stocks fell on Monday."]
    embed = keras.Model(recipe.model.input, recipe.model.get_layer("head_pool").output)
    vectors = embed.predict_on_batch(recipe.load(sentences))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert vectors[0] @ vectors[1] > 0.5 > vectors[0] @ vectors[2]


@pytest.mark.once
def test_texts_are_cut_and_padded_to_any_length_as_the_preprocessor_does(preset):
    recipe = BertRecipe(preset, num_classes=2, sequence_length=12)
    texts = ["good", "a very bad film", "the plot of a good film was bad not good the actor was"]
    for length in (4, 6, 12, 20):
        for chosen in (texts[:1], texts[:2], texts):
            loaded = recipe.load(chosen, length)
            packed = with_length(recipe.preprocessor, length)(chosen)
            for name, tokens in loaded.items():
                np.testing.assert_array_equal(tokens, packed[name])


@pytest.mark.once
def test_the_same_tokenizer_is_the_same_preprocessing_whichever_recipe_loads_it(
    preset, hugging_face
):
    for folder in (preset, hugging_face):
        one, other = (BertRecipe(folder, num_classes=2, sequence_length=12) for _ in range(2))
        assert one.input_identity() == other.input_identity()
        longer = BertRecipe(folder, num_classes=2, sequence_length=16)
        assert longer.input_identity() != one.input_identity()
