import json

import keras
import numpy as np
import pytest

import kft
from kft.callbacks.stage_number import StageNumber
from tests.models import convnet, images

STAGES = [kft.Stage(0, 1, 1e-2), kft.Stage("all", 1, 1e-3)]


@pytest.mark.parametrize("verbose", [1, 2])
def test_the_bar_of_keras_prints_the_stage_as_a_whole_number(verbose, capsys):
    model, (x, y) = convnet(), images(8)
    model.compile("adam", "sparse_categorical_crossentropy")
    staged = kft.callbacks.StagedUnfreezing(STAGES, verbose=0)
    history = model.fit(x, y, epochs=2, batch_size=8, verbose=verbose, callbacks=[staged]).history
    printed = capsys.readouterr().out
    assert "stage: 1" in printed
    assert "stage: 2" in printed
    assert "stage: 1.0" not in printed
    assert "stage: 2.0" not in printed
    assert json.dumps(history["stage"]) == "[1, 2]"


def test_a_stage_number_is_an_ordinary_int():
    number = StageNumber(2)
    assert number == 2
    assert isinstance(number, int)
    assert str(number) == repr(number) == "2"
    assert number / 4 == 0.5
    assert f"{number:03d}" == "002"
    assert f"{number:.2f}" == "2.00"
    assert np.asarray([number]).dtype == int
    assert np.mean([number, StageNumber(3)]) == 2.5
    assert keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(number)) == 2
