"""Fits of a tiny BERT with its weights whole and cut in two and four; JAX, in a process of its own."""

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
)

import keras

import kft
from kft.distribution import ModelParallel
from recipes import BertRecipe
from tests.recipes.tiny_bert import SHAPE, save_preset

TEXTS = ["good film", "bad plot the actor was very bad", "great film !", "awful awful plot ."]
LABELS = ["good", "bad", "good", "bad"]


class Shards(keras.callbacks.Callback):
    """Notes the shape of a device's part of each variable, the optimizer's included."""

    shapes: dict

    def on_epoch_end(self, epoch, logs=None):
        variables = [*self.model.weights, *self.model.optimizer.variables]
        self.shapes = {
            variable.path: variable.value.addressable_shards[0].data.shape for variable in variables
        }


def fit(preset, distribution):
    recipe = BertRecipe(
        str(preset), num_classes=2, dropout=0.0, backbone_dropout=0.0, sequence_length=8
    )
    shards = Shards()
    run = recipe.fit(
        (TEXTS * 3 + TEXTS[:2], LABELS * 3 + LABELS[:2]),  # the last batch does not divide by four
        (TEXTS, LABELS),
        stages=[kft.Stage("all", 2, 1e-2)],
        batch_size=8,
        distribution=distribution,
        early_stopping=None,
        callbacks=[shards],
        verbose=0,
    )
    return {
        "weights": [weight.tolist() for weight in recipe.model.get_weights()],
        "history": run.history,
        "shards": shards.shapes,
        "plan": run.stages_table,
    }


with tempfile.TemporaryDirectory() as folder:
    SHAPE["num_layers"] = 1
    preset = save_preset(Path(folder, "preset"))
    kinds = {"one": "none", "two": ModelParallel(2), "four": ModelParallel()}
    found = {name: fit(preset, kind) for name, kind in kinds.items()}
    Path(sys.argv[1]).write_text(json.dumps(found))
