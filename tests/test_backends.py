"""The properties of each backend, and of an unknown one."""

import importlib
import inspect

import keras
import numpy as np
import pytest

from kft.backends import BACKENDS, Backend, backend
from kft.errors import InputError


def test_the_backend_is_the_one_that_keras_runs_on():
    assert backend() is BACKENDS[keras.backend.backend()]
    kind, generation = backend().accelerator()
    assert kind in ("cpu", "gpu", "tpu")
    assert generation >= 0
    assert backend().replica_count() == backend().device_count() == 1


def test_a_single_device_has_one_copy_and_gradients_as_they_are():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    (kernel,) = backend().copies(model.weights[0], model)
    np.testing.assert_array_equal(np.ravel(kernel), np.ravel(model.get_weights()[0]))
    gradients = [np.ones(2)]
    assert backend().summed_over_replicas(gradients) == (gradients, 1)


@pytest.mark.once
@pytest.mark.parametrize("name", sorted(BACKENDS))
def test_each_backend_has_what_a_fit_needs(name):
    one = BACKENDS[name]
    assert one.name == name
    assert one.package
    for method in ("accelerator", "cpu_threads", "peak_memory", "skipping_step", "input_gradient"):
        assert getattr(type(one), method) is not getattr(Backend, method), method
    entered = importlib.import_module(one.strategy_module).entered
    assert list(inspect.signature(entered).parameters) == ["strategy", "model"]


@pytest.mark.once
def test_no_backend_has_a_fact_that_is_not_described():
    described = set(vars(Backend))
    for one in BACKENDS.values():
        assert {name for name in vars(type(one)) if not name.startswith("__")} <= described


@pytest.mark.once
def test_an_unknown_backend_has_cautious_answers(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "openvino")
    assert repr(backend()) == "Backend('openvino')"
    assert backend().cpu_threads() is None
    assert backend().strategy_module is None
    with pytest.raises(InputError, match="no gradients on the backend openvino"):
        backend().input_gradient(None)
