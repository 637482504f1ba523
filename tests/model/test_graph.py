"""Keras' private names (3.15.1) that kft/model/graph.py and kft/stages/optimizer_internals.py use."""

import keras
from keras import layers

from kft.model import graph
from kft.stages.optimizer_internals import averages_of, decays, schedule_of
from kft.stages.schedules import WarmupSchedule


def small():
    inputs = keras.Input((4,))
    return keras.Model(inputs, layers.Dense(2, name="b")(layers.Dense(3, name="a")(inputs)))


def test_private_names_of_keras_are_as_in_3_15_1():
    model = small()
    node = graph._node_of(model.outputs[0])
    assert node.operation is model.get_layer("b"), f"Keras {keras.__version__} records calls anew"
    assert node.input_tensors[0] is model.get_layer("a").output
    assert node.output_tensors[0] is model.outputs[0]
    assert graph.sublayers(model) == model.layers, f"Keras {keras.__version__} lists layers anew"


def test_private_names_of_the_optimizer_are_as_in_3_15_1():
    schedule = WarmupSchedule(0.1)
    optimizer = keras.optimizers.AdamW(schedule)
    assert schedule_of(optimizer) is schedule
    model = small()
    kernel, bias = model.get_layer("a").weights
    optimizer.exclude_from_weight_decay(var_list=[bias])
    assert decays(optimizer, kernel)
    assert not decays(optimizer, bias)
    averaged = keras.optimizers.Adam(0.1, use_ema=True)
    averaged.build([kernel])
    assert [one.shape for one in averages_of(averaged)] == [kernel.shape]


def test_nested_models_are_opened_up_in_order():
    inner = small()
    inputs = keras.Input((4,))
    outer = keras.Model(inputs, layers.Dense(1, name="c")(inner(layers.ReLU()(inputs))))
    calls = [call for call in graph.calls(outer) if call.has_weights]
    assert [call.operation.name for call in calls] == ["a", "b", "c"]
    assert [call.owners for call in calls] == [(inner,), (inner,), ()]
    assert calls[1].parents == (calls[0],)


def test_leaf_layers_of_a_subclassed_model_open_functional_ones():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.body = small()
            self.top = layers.Dense(1, name="c")

        def call(self, inputs):
            return self.top(self.body(inputs))

    own = Own()
    own(keras.ops.ones((1, 4)))
    found = [layer.name for layer in graph.leaf_layers(own) if layer.weights]
    assert found == ["a", "b", "c"]
