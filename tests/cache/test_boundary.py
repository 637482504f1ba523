"""The cut of a model whose lowest layer is called again at its top, like tied embeddings."""

import keras
import numpy as np

import kft
from kft.cache.cut import find_cut
from kft.testing.families import TinyLanguage, save_tiny_llama


def _tied(frozen=("tied",)):
    inputs = keras.Input((4,))
    tied = keras.layers.Dense(4, name="tied")
    below = keras.layers.Dense(4, name="below")(tied(inputs))
    model = keras.Model(inputs, tied(keras.layers.Dense(4, name="above")(below)))
    for name in frozen:
        model.get_layer(name).trainable = False
    return model


def test_a_layer_that_is_called_again_is_not_the_last_one_below_a_cut():
    cut, reason = find_cut(_tied())
    assert cut is None
    assert "first layer" in reason


def test_a_model_is_cut_above_a_layer_that_is_called_again():
    model = _tied(("tied", "below"))
    cut, _ = find_cut(model)
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    parts = cut.suffix.predict(cut.prefix.predict(x, verbose=0), verbose=0)
    np.testing.assert_allclose(parts, model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


def test_adapters_train_above_tied_embeddings(tmp_path):
    import keras_hub

    recipe = TinyLanguage(save_tiny_llama(tmp_path / "llama"), adapters=kft.LoRA(2))
    shape = {**recipe.encoder.get_config(), "tie_word_embeddings": True, "name": "tied"}
    recipe._encoder = keras_hub.models.LlamaBackbone(**shape)
    stages = [kft.Stage("all", 1, 1e-2, only="adapters")]
    run = recipe.fit(["the film is good"] * 12, stages=stages, verbose=0)
    assert run.history["loss"]
