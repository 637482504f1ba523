import keras
import pytest
import tensorflow as tf

from kft.data.tensorflow_on_cpu import keep_off_accelerators
from tests.small_images import TinyRecipe


@pytest.fixture
def hidden(monkeypatch):
    """Record the types of devices that are hidden, since test machines have none."""
    kinds = []
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda devices, kind: kinds.append(kind))
    keep_off_accelerators.cache_clear()
    yield kinds
    keep_off_accelerators.cache_clear()


def test_a_recipe_hides_accelerators_from_tensorflow_beside_another_backend(hidden):
    TinyRecipe(num_classes=2)
    is_backend = keras.backend.backend() == "tensorflow"
    assert hidden == ([] if is_backend else ["GPU", "TPU"])
