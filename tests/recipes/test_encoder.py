"""Text encoders of every kind: inputs, padding, blocks, cuts and tokenizers."""

import keras
import numpy as np
import pytest

import kft
import recipes
from kft.cache.cut import find_cut
from kft.errors import InputError
from kft.model.blocks import find_anatomy
from kft.stages.stage import Stage
from kft.testing.families import save_tiny_llama
from recipes import AlbertRecipe, DistilBertRecipe, EncoderRecipe, FNetRecipe, RobertaRecipe
from tests.recipes import tiny_encoders
from tests.recipes.tiny_encoders import KINDS, TEXTS, save_preset

LABELS = [0, 1, 0, 1]
# Shared layers, and relative attention; the other graphs consist of the same layers.
EVERYWHERE = ("Albert", "DebertaV3")
EACH = [pytest.param(kind, marks=() if kind in EVERYWHERE else pytest.mark.once) for kind in KINDS]


@pytest.fixture(scope="module")
def presets(tmp_path_factory):
    """Return the preset folder of each kind."""
    folder = tmp_path_factory.mktemp("encoders")
    return {kind: save_preset(kind, folder / kind) for kind in KINDS}


def recipe_of(kind, presets, **arguments):
    settings = {"num_classes": 2, "backbone_dropout": 0.0, "dropout": 0.0, **arguments}
    return getattr(recipes, f"{kind}Recipe")(presets[kind], **settings)


def answers(model, inputs):
    return keras.ops.convert_to_numpy(model(inputs, training=False))


@pytest.mark.parametrize("kind", EACH)
def test_an_encoder_is_cut_under_its_deepest_trained_block(kind, presets):
    recipe = recipe_of(kind, presets)
    head, *blocks = (lambda found: (found.head, *found.blocks))(find_anatomy(recipe.model))
    assert [layer.name for layer in head.layers] == ["predictions"]
    assert "layer" in blocks[0].name
    for block in blocks[1:]:
        for layer in block.layers:
            layer.trainable = False
    cut, reason = find_cut(recipe.model)
    assert cut is not None, reason
    below = [layer for block in blocks[1:] for layer in block.layers]
    assert set(below) <= set(cut.layers)
    assert not set(blocks[0].layers) & set(cut.layers)
    inputs = recipe.load(TEXTS)
    kept = answers(cut.suffix, cut.prefix(inputs, training=False))
    np.testing.assert_allclose(kept, answers(recipe.model, inputs), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("kind", [kind for kind in EACH if kind.values != ("FNet",)])
def test_padding_changes_no_answer(kind, pooling, presets):
    recipe = recipe_of(kind, presets, pooling=pooling)
    short, long = (answers(recipe.model, recipe.load(TEXTS, length)) for length in (24, 32))
    np.testing.assert_allclose(short, long, rtol=1e-4, atol=1e-6)


def test_an_encoder_that_sees_padding_is_fed_texts_of_one_length(presets):
    recipe = FNetRecipe(presets["FNet"], num_classes=2, pooling="cls")
    texts = [*TEXTS, "good", "bad", "the film was not very good !", "a"]
    examples = recipe.read((texts, LABELS * 2))
    recipe.learn(examples)
    batches = recipe.batches(examples, batch_size=2)
    shapes = {batches[index][0]["token_ids"].shape[1] for index in range(len(batches))}
    assert shapes == {recipe.length}
    run = recipe.fit((texts, LABELS * 2), stages=[Stage("all", 1, 1e-3)], batch_size=4, verbose=0)
    assert np.isfinite(run.history["loss"]).all()
    alone = [recipe.predict([text]).scores[0] for text in texts]
    np.testing.assert_allclose(alone, recipe.predict(texts).scores, rtol=1e-4, atol=1e-6)


def test_all_layers_of_albert_are_one_block_that_trains_as_a_whole(presets):
    recipe = recipe_of("Albert", presets)
    assert [block.name for block in find_anatomy(recipe.model).blocks][:2] == [
        "group_0_inner_layer_0",
        "embedding_projection",
    ]
    losses = {}
    for cache in (False, True):
        recipe = recipe_of("Albert", presets)
        embedding = recipe.encoder.token_embedding
        (shared,) = [layer for layer in recipe.encoder.layers if "inner_layer" in layer.name]
        before, started = embedding.get_weights(), shared.get_weights()
        run = recipe.fit(
            (TEXTS * 2, LABELS * 2),
            stages=[Stage(1, 2, 1e-2)],
            cache=cache,
            batch_size=4,
            verbose=0,
        )
        losses[cache] = run.history["loss"]
        np.testing.assert_array_equal(before, embedding.get_weights())
        kept = [np.array_equal(*pair) for pair in zip(started, shared.get_weights(), strict=True)]
        assert sum(kept) <= 1  # the bias of the keys, which does not affect attention
    assert losses[True] == pytest.approx(losses[False], rel=1e-4)


@pytest.mark.once
def test_features_of_an_albert_are_those_of_its_depth(presets, tmp_path):
    deeper = save_preset("Albert", tmp_path / "deeper", num_layers=4)
    digests = set()
    for preset in (presets["Albert"], deeper):
        model = AlbertRecipe(preset, num_classes=2, backbone_dropout=0.0).model
        for block in find_anatomy(model).blocks:
            for layer in block.layers:
                layer.trainable = False
        digests.add(find_cut(model)[0].digest)
    assert len(digests) == 2


@pytest.mark.once
@pytest.mark.parametrize("kind", ["DistilBert", "Electra"])
def test_words_are_tagged_and_answers_found_with_word_pieces(kind, presets):
    family = getattr(recipes, f"{kind}Recipe")
    settings = {"stages": [Stage("all", 1, 1e-3)], "batch_size": 4, "verbose": 0}
    tagging = family(presets[kind], task=kft.tasks.Tagging())
    words = [["the", noun, "was", how] for noun in ("film", "plot") for how in ("good", "bad")] * 2
    data = (words, [["O", "B-x", "O", "O"]] * 8)
    assert tagging.fit(data, data, **settings).evaluation is not None
    assert ("segment_ids" in tagging.load(["a film"])) == (kind == "Electra")
    spans = family(presets[kind], task=kft.tasks.Spans())
    packed = spans.load(["the film\nthe film was good"])
    assert packed.keys() - {"word_starts", "word_ends"} == set(spans.encoder.input)
    assert spans.model(packed).shape == (1, spans.length, 4)


@pytest.mark.once
@pytest.mark.parametrize("task", [kft.tasks.Tagging, kft.tasks.Spans])
@pytest.mark.parametrize("kind", ["Roberta", "XLMRoberta", "Albert"])
def test_a_tokenizer_without_words_is_refused_before_the_encoder_is_built(kind, task, presets):
    recipe = EncoderRecipe(presets[kind], task=task())
    with pytest.raises(InputError, match=rf"{kind}Tokenizer of .* of {task.__name__} cannot be"):
        _ = recipe.model
    assert recipe._encoder is None


@pytest.mark.once
def test_a_pooler_that_there_is_not_is_refused(presets):
    with pytest.raises(InputError, match=r"`pooling='pooler'`, but a RobertaBackbone has no pool"):
        _ = RobertaRecipe(presets["Roberta"], num_classes=2, pooling="pooler").model


@pytest.mark.once
def test_one_recipe_takes_encoders_of_all_kinds_and_no_decoder(presets, tmp_path):
    for kind in KINDS:
        recipe = EncoderRecipe(presets[kind], num_classes=2)
        assert type(recipe.encoder).__name__ == f"{kind}Backbone"
        assert recipe.model.output_shape == (None, 2)
    llama = save_tiny_llama(tmp_path / "llama")
    with pytest.raises(InputError, match=r"cannot be loaded by EncoderRecipe"):
        _ = EncoderRecipe(llama, num_classes=2).model


@pytest.mark.once
def test_default_rates_are_those_that_were_published(presets):
    rates = {}
    for kind in KINDS:
        recipe = recipe_of(kind, presets)
        deep = recipe.default_stages()[-1]
        rates[kind] = deep.learning_rate * recipe.encoder.hidden_dim / 768, deep.layer_decay
    assert rates["Bert"] == rates["DistilBert"] == rates["Albert"] == rates["FNet"]
    assert rates["Bert"] == (pytest.approx(5e-5), 1.0)
    assert rates["Roberta"] == rates["XLMRoberta"] == (pytest.approx(3e-5), 1.0)
    assert rates["DebertaV3"] == (pytest.approx(2e-5), 1.0)
    assert rates["Electra"] == (pytest.approx(1e-4), 0.8)


@pytest.mark.once
def test_a_run_of_distilbert_is_loaded_without_its_preset(presets, tmp_path):
    recipe = DistilBertRecipe(presets["DistilBert"], num_classes=2)
    recipe.save(tmp_path / "run")
    loaded = kft.load(tmp_path / "run")
    assert isinstance(loaded, DistilBertRecipe)
    np.testing.assert_array_equal(loaded.predict(TEXTS).scores, recipe.predict(TEXTS).scores)
    assert tiny_encoders.SHAPE["hidden_dim"] == loaded.encoder.hidden_dim
