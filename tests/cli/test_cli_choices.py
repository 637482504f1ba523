"""Options accept the values of Python, which the command line repeats to avoid importing Keras."""

import inspect
import re
from enum import Enum
from typing import get_args

import pytest

from kft.cache.dtypes import DTYPES
from kft.cache.settings import CACHING
from kft.callbacks.best_state import Restore
from kft.cli import app
from kft.cli.fit_options import _CACHE
from kft.cli.outputs import ANSWERS
from kft.data.bad import BadExamples
from kft.data.balance import BALANCES
from kft.distribution.strategies import WORDS
from kft.errors import InputError
from kft.export.deployment import TARGETS
from kft.export.launch import FORMATS, WEIGHTS
from kft.model.precision import PRECISIONS
from kft.stages.plan import BatchNorm
from kft.tasks.predictions.files import ENDINGS
from kft.tasks.saved import SHORT
from kft.tuning.oracles import ALGORITHMS
from kft.tuning.settings import PRUNE

pytestmark = pytest.mark.once


def said_to_be_expected():
    """Return the values of `on_bad_example`, which are only listed in its message."""
    with pytest.raises(InputError) as caught:
        BadExamples("data", "?")
    return re.findall(r'"(\w+)"', str(caught.value))


EXPECTED = {
    "algorithm": ALGORITHMS,
    "balance": BALANCES,
    "batch_norm": get_args(BatchNorm),
    "cache": _CACHE,
    "cache_dtype": tuple(DTYPES),
    "distribution": (*WORDS, "model_parallel"),  # the word for a ModelParallel()
    "format": FORMATS,
    "on_bad_example": said_to_be_expected(),
    "precision": PRECISIONS,
    "prune": PRUNE,
    "restore_best": (*get_args(Restore), "none"),  # for None
    "task": tuple(SHORT),
    "to": TARGETS,
    "weights": WEIGHTS,  # of an export
}


def enumerations(annotation):
    """Return the enumerations in a type such as `Annotated[Task | None, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [annotation]
    return [one for part in get_args(annotation) for one in enumerations(part)]


CHOICES = {
    (command.callback.__name__, parameter.name): found
    for command in app.registered_commands
    for parameter in inspect.signature(command.callback, eval_str=True).parameters.values()
    for found in enumerations(parameter.annotation)
}


@pytest.mark.parametrize(("command", "option"), CHOICES)
def test_an_option_offers_what_python_takes(command, option):
    offered = {member.value for member in CHOICES[command, option]}
    assert offered == {str(one) for one in EXPECTED[option]}


def test_every_list_is_compared():
    assert {option for _, option in CHOICES} == EXPECTED.keys()


def test_what_the_cache_is_told_is_what_a_fit_takes():
    assert set(_CACHE.values()) < set(CACHING)


def test_files_of_answers_end_in_what_is_written():
    assert ANSWERS == ENDINGS
