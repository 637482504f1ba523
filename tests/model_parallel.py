"""Fits of a tiny BERT and a convolutional network, whole and sharded, in a separate JAX process."""

import json
import os
import sys
from pathlib import Path

os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
)

import keras

import kft
from kft.distribution import ModelParallel
from recipes import BertRecipe
from tests.leaving import leave
from tests.recipes.tiny_bert import SHAPE, save_preset
from tests.small_images import WideRecipe, bright_sides, encoded

TEXTS = ["good film", "bad plot the actor was very bad", "great film !", "awful awful plot ."]
LABELS = ["good", "bad", "good", "bad"]


class Shards(keras.callbacks.Callback):
    """Record the shape of one shard of each variable, including those of the optimizer."""

    shapes: dict

    def on_epoch_end(self, epoch, logs=None):
        variables = [*self.model.weights, *self.model.optimizer.variables]
        self.shapes = {
            variable.path: variable.value.addressable_shards[0].data.shape for variable in variables
        }


def fit(recipe, train, validation, distribution, unfreeze="all", rate=1e-2):
    shards = Shards()
    run = recipe.fit(
        train,
        validation,
        stages=[kft.Stage(unfreeze, 2, rate)],
        batch_size=8,
        distribution=distribution,
        cache=True,
        early_stopping=None,
        finish=kft.Finish(report=False),
        callbacks=[shards],
        verbose=0,
    )
    return {
        "weights": [weight.tolist() for weight in recipe.model.get_weights()],
        "history": run.history,
        "shards": shards.shapes,
        "plan": run.stages_table,
        "computed": run.journal["cache"]["computed"],
    }


def bert(preset, distribution):
    recipe = BertRecipe(preset, num_classes=2, dropout=0.0, backbone_dropout=0.0, sequence_length=8)
    train = TEXTS * 3 + TEXTS[:2], LABELS * 3 + LABELS[:2]  # the last batch is not a multiple of 4
    return fit(recipe, train, (TEXTS, LABELS), distribution)


def images(distribution, serving=None):
    """Train the last block on cached features of the blocks before it."""
    keras.utils.set_random_seed(1)
    recipe = WideRecipe(num_classes=4, dropout=0.0)
    x, y = bright_sides(14, classes=4)
    found = fit(recipe, (x, y), (x[:4], y[:4]), distribution, unfreeze=1, rate=1e-3)
    if serving is not None:
        recipe.export(serving)
        found["predicted"] = recipe.predict(encoded(x[:3])).scores.tolist()
    return found


def outcomes(folder):
    SHAPE["num_layers"] = 1
    preset = str(save_preset(folder / "preset"))
    yield "bert, one", bert(preset, "none")
    yield "bert, four", bert(preset, ModelParallel())
    layout = {
        "predictions/kernel": (None, "model"),
        "block3_conv/kernel": (None, None, None, "model"),
    }
    yield "images, one", images("none")
    yield "images, two", images(ModelParallel(2, layout), folder / "serving")
    yield "images, four", images(ModelParallel())


OUT = Path(sys.argv[1])
OUT.write_text(json.dumps(dict(outcomes(OUT.parent))))
leave()
