"""Language models: generated texts are probable for the trained model, and runs preserve this."""

import numpy as np
import pytest

import kft
from kft.errors import InputError
from kft.model.blocks import find_anatomy
from kft.model.forward import Forward
from kft.recipe.prompts import tokens_of
from kft.testing.families import TinyLanguage, save_tiny_bert, save_tiny_llama, tiny_texts
from recipes import CausalLMRecipe, GPT2Recipe
from tests.recipes import tiny_gpt2


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return save_tiny_llama(tmp_path_factory.mktemp("llama") / "preset")


def test_the_greedy_continuation_is_the_most_probable_token_each_time(llama):
    recipe = TinyLanguage(llama, sequence_length=24)
    recipe.fit(tiny_texts(24), stages=[kft.Stage("all", 2, 1e-2)], verbose=0)
    prompts = ["the film", "a bad plot was not"]
    written = recipe.generate(prompts, max_new_tokens=4, temperature=0)
    packed = recipe.load(prompts)
    forward, tokenizer = Forward(recipe.model), recipe.preprocessor.tokenizer
    before = packed["padding_mask"].sum(axis=1)
    for _ in range(4):
        numbers = forward(packed)[:, recipe.length, 1].astype(int)
        for row, number in enumerate(numbers):
            at = packed["padding_mask"][row].sum()
            packed["token_ids"][row, at], packed["padding_mask"][row, at] = number, 1
    for row, prompt in enumerate(prompts):
        ids = packed["token_ids"][row, 1 : before[row] + 4].tolist()
        ids = ids[: ids.index(tokenizer.end_token_id)] if tokenizer.end_token_id in ids else ids
        assert prompt + written[row] == str(tokenizer.detokenize([ids])[0])


def test_what_is_drawn_follows_from_the_seed(llama):
    recipe = TinyLanguage(llama)
    first, again, other = (
        list(recipe.generate("the film was", max_new_tokens=8, top_k=8, top_p=0.95, seed=seed))
        for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.once
def test_a_continuation_ends_at_a_stop_and_at_the_limit(llama):
    recipe = TinyLanguage(llama)
    settings = {"max_new_tokens": 10, "temperature": 0}
    (whole,) = recipe.generate("the film", **settings)
    stop = whole[3:5]
    assert list(recipe.generate("the film", stop=stop, **settings)) == [whole[: whole.index(stop)]]
    (short,) = recipe.generate("the film", max_new_tokens=2, temperature=0)
    assert whole.startswith(short)
    assert len(short) < len(whole)


@pytest.mark.once
def test_a_run_keeps_tied_embeddings(tmp_path):
    recipe = TinyLanguage(save_tiny_llama(tmp_path / "preset", tied=True), weights=None)
    # KerasHub 0.32 cannot save tied embeddings: https://github.com/keras-team/keras-hub/issues/3098
    assert not recipe.encoder.tie_word_embeddings
    import keras_hub

    shape = {**recipe.encoder.get_config(), "tie_word_embeddings": True, "name": "tied"}
    recipe._encoder = keras_hub.models.LlamaBackbone(**shape)
    recipe.save(tmp_path / "run")
    loaded = kft.load(tmp_path / "run", recipe=TinyLanguage)
    assert loaded.encoder.tie_word_embeddings
    text = ["the film was good"]
    assert str(loaded.predict(text)) == str(recipe.predict(text))


@pytest.mark.once
def test_each_decoder_layer_is_a_block_and_the_last_norm_the_head(llama):
    model = TinyLanguage(llama).model
    names = [block.name for block in kft.find_blocks(model)]
    assert names == ["transformer_layer_1", "transformer_layer_0", "token_embedding"]
    head = find_anatomy(model).head
    assert [layer.name for layer in head.layers] == ["sequence_output_layernorm"]


@pytest.mark.once
def test_a_byte_pair_tokenizer_trains_and_writes(tmp_path):
    recipe = GPT2Recipe(tiny_gpt2.save_preset(tmp_path / "preset"))
    texts = ["the good", "good the.", "the the good!", "good good"] * 3
    run = recipe.fit(texts, stages=[kft.Stage("all", 1, 1e-3)], verbose=0)
    assert run.evaluation.perplexity > 1
    assert recipe.predict("the good").top(2)[0].tokens
    assert len(recipe.generate(["the", "good"], max_new_tokens=3)) == 2


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "message"),
    {
        "no tokens": ({"max_new_tokens": 0}, r"`max_new_tokens=0`"),
        "a temperature": ({"temperature": -1}, r"`temperature=-1`: pass 0 for the most probable"),
        "a probability": ({"top_p": 1.5}, r"`top_p=1.5`: pass a probability"),
        "a stop": ({"stop": [""]}, r"`stop=.* texts that are not empty"),
        **{
            f"stop {value!r}": ({"stop": value}, r"`stop=.*: pass a text, or a list of texts")
            for value in (None, 1, b"x", {"x"}, ["x", 1], "")
        },
    }.values(),
)
def test_generate_names_what_is_wrong(llama, arguments, message):
    with pytest.raises(InputError, match=message):
        TinyLanguage(llama).generate("the", **arguments)


@pytest.mark.once
def test_settings_may_be_numbers_of_numpy(llama):
    settings = {"max_new_tokens": 3, "seed": 3, "top_k": 4, "batch_size": 2}
    made = {name: np.int64(value) for name, value in settings.items()}
    recipe = TinyLanguage(llama)
    assert list(recipe.generate("the", **made)) == list(recipe.generate("the", **settings))


@pytest.mark.once
def test_a_prompt_that_leaves_no_room_is_told(tmp_path):
    recipe = GPT2Recipe(tiny_gpt2.save_preset(tmp_path / "preset"))
    with pytest.raises(
        InputError, match=r"leaves no room for `max_new_tokens=64` in a model of 32"
    ):
        recipe.generate("the good")


@pytest.mark.once
def test_a_model_that_writes_no_texts_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds a BertBackbone, which writes no texts"):
        _ = CausalLMRecipe(save_tiny_bert(tmp_path / "preset")).model


@pytest.mark.once
def test_long_texts_are_cut_into_rows_and_evaluated_whole(llama):
    recipe = TinyLanguage(llama)
    examples = recipe.read([" ".join(tiny_texts(8)), "the film"])
    assert recipe.row_count(examples) > 4
    found = recipe.evaluate(examples)
    assert len(found) == 2
    counts = [len(row) for row in tokens_of(recipe.preprocessor.tokenizer, examples.inputs)]
    assert found.tokens == sum(counts) + 2  # plus the end tokens of two texts
    wide = TinyLanguage(llama, sequence_length=512).evaluate(examples)
    assert wide.tokens == found.tokens
    assert np.isfinite(wide.perplexity)
