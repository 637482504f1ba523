"""Checks of calls: an unknown argument raises an error with the equivalent in kft."""

from __future__ import annotations

import functools
import inspect
import numbers
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, ParamSpec, Self, TypeVar

from kft.arguments import did_you_mean, shown
from kft.errors import InputError

_P = ParamSpec("_P")
_R = TypeVar("_R")
_CHECKED = "__kft_checked__"  # marks the public methods of a recipe
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class _Way(NamedTuple):
    """The equivalent of an argument of Keras or other libraries, in functions with `parameter`."""

    parameter: str
    words: str  # "{value}" stands for the value that was passed


_EPOCHS = _Way(
    "stages",
    "each stage has its own, as in stages=[kft.Stage('all', epochs={value}, learning_rate=1e-4)]",
)
_RATE = _Way(
    "stages",
    "each stage has its own, as in stages=[kft.Stage('all', epochs=5, learning_rate={value})]",
)
_STAGE_RATE = _Way("learning_rate", "pass learning_rate={value}")
_DEPTH = _Way(
    "stages",
    "set it in a stage, as in stages=[kft.Stage(unfreeze=2, epochs=5, learning_rate=1e-4)]",
)
_DECAY = _Way("stages", "set it in a stage, as in kft.Stage(..., warmup=0.1, decay='cosine')")
_PART = _Way("validation_data", "pass validation_data={value}")
_WHOLE = _Way("validation_data", "validation data are evaluated whole, after each epoch")
_WEIGHTS = _Way("balance", "pass balance='weights', which weights all classes equally")
_PATIENCE = _Way(
    "early_stopping", "pass early_stopping=kft.callbacks.RelativeEarlyStopping(patience=3)"
)
_DIRECTORY = _Way("run_dir", "pass run_dir={value}")
_AGAIN = _Way("run_dir", "the same call with run_dir=... resumes where it was ended")
_SIZE = _Way("image_size", "pass image_size=(height, width)")
_COUNT = _Way("num_classes", "pass num_classes={value}")
_LENGTH = _Way("sequence_length", "pass sequence_length={value}")
_PRECISION = _Way("precision", "pass precision='mixed_bfloat16' or 'mixed_float16'")
_MODEL = (
    _Way("name", "pass the architecture as name={value}"),
    _Way("preset", "pass preset={value}"),
)
_LABELS = tuple(
    _Way(data, f"labels go with their inputs, as in {data}=(x, y)")
    for data in ("train", "data", "source")
)
_INPUTS = (*_LABELS, _Way("raw", "pass the inputs as `raw`"))
_SILENT = tuple(
    _Way(one, "nothing is printed, so leave it out") for one in ("data", "raw", "prompts")
)
_WAYS: dict[str, tuple[_Way, ...]] = {
    **dict.fromkeys(("epochs", "nb_epoch", "num_epochs", "num_train_epochs"), (_EPOCHS,)),
    **dict.fromkeys(("lr", "learning_rate", "base_lr", "max_lr"), (_RATE, _STAGE_RATE)),
    **dict.fromkeys(("unfreeze", "freeze", "trainable", "fine_tune_at"), (_DEPTH,)),
    **dict.fromkeys(("warmup", "warmup_steps", "warmup_ratio", "lr_scheduler_type"), (_DECAY,)),
    **dict.fromkeys(("validation_split", "val_split", "test_size", "valid_pct"), (_PART,)),
    **dict.fromkeys(("validation_steps", "validation_freq", "validation_batch_size"), (_WHOLE,)),
    **dict.fromkeys(("class_weight", "class_weights"), (_WEIGHTS,)),
    "sample_weight": (_Way("train", "pass a tf.data.Dataset of (inputs, targets, weights)"),),
    "shuffle": (_Way("train", "examples are shuffled in each epoch, by `seed`"),),
    "steps_per_epoch": (
        _Way("train", "pass train=recipe.read(stream, steps_per_epoch={value}) for a stream"),
    ),
    **dict.fromkeys(("patience", "early_stopping_patience"), (_PATIENCE,)),
    **dict.fromkeys(
        ("output_dir", "log_dir", "save_dir", "checkpoint_dir", "default_root_dir"), (_DIRECTORY,)
    ),
    **dict.fromkeys(("initial_epoch", "resume_from_checkpoint", "ckpt_path"), (_AGAIN,)),
    **dict.fromkeys(("input_shape", "input_size", "target_size", "img_size"), (_SIZE,)),
    **dict.fromkeys(("num_labels", "n_classes", "nb_classes", "num_outputs"), (_COUNT,)),
    "class_names": (_Way("classes", "pass classes={value}"),),
    **dict.fromkeys(("max_length", "maxlen", "max_seq_length"), (_LENGTH,)),
    **dict.fromkeys(("fp16", "bf16", "mixed_precision", "dtype"), (_PRECISION,)),
    **dict.fromkeys(("model", "model_name", "architecture", "backbone"), _MODEL),
    "pretrained": (_Way("weights", "pass weights=None for random weights, or leave it out"),),
    **dict.fromkeys(("include_top", "top"), (_Way("num_classes", "the head is always a new one"),)),
    **dict.fromkeys(("loss", "metrics"), (_Way("task", "the task defines it: pass `task`"),)),
    **dict.fromkeys(("y", "y_train", "labels", "targets"), _LABELS),
    **dict.fromkeys(("x", "x_train"), _INPUTS),
    "verbose": _SILENT,
    **dict.fromkeys(("lora_rank", "lora"), (_Way("adapters", "pass adapters=kft.LoRA(rank=8)"),)),
    "r": (_Way("rank", "pass rank={value}"),),
    "lora_alpha": (_Way("alpha", "pass alpha={value}"),),
}


def checked_call(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorate a public function to raise a helpful `InputError` for wrong arguments.

    Numbers of NumPy become numbers of Python: Keras and KerasTuner refuse the former as seeds, and
    theirs overflow.

    Args:
        function: A function or a method; `inspect` and editors still show its signature.
    """

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        check_call(function, args, kwargs)
        plain = {name: _plain_number(value) for name, value in kwargs.items()}
        return function(*map(_plain_number, args), **plain)

    setattr(call, _CHECKED, True)
    return call


def _plain_number(value: Any) -> Any:
    is_of_numpy = isinstance(value, numbers.Number) and type(value).__module__ == "numpy"
    return value.item() if is_of_numpy else value


class CheckedCalls:
    """A base class that checks the constructor arguments of its subclasses in the same way."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Check the arguments against `__init__`, unless there are none, as in `copy`."""
        if args or kwargs:
            check_call(cls, args, kwargs)
        return super().__new__(cls)


def check_call(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> None:
    """Check that a function can be called with some arguments.

    Args:
        function: The function, the method with its `self` among `args`, or the class.
        args: The positional arguments.
        kwargs: The keyword arguments.

    Raises:
        InputError: An argument is unknown, missing or passed twice.
    """
    signature = _signature(function)
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        kind = function if isinstance(function, type) else None
        if "self" in signature.parameters and args:
            kind = type(args[0])
        raise InputError(_problem(function.__name__, signature, args, kwargs, kind)) from None


@functools.cache
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


def _problem(
    name: str,
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    kind: type | None,
) -> str:
    parameters = [one for one in signature.parameters if one != "self"]
    for argument, value in kwargs.items():
        if argument not in parameters:
            return _unknown(name, parameters, argument, value, kind)
    own = [one for one in signature.parameters.values() if one.name != "self"]
    places = [one.name for one in own if one.kind in _POSITIONAL]
    given = len(args) - ("self" in signature.parameters)
    if given > len(places):
        taken = " and ".join(f"`{one}`" for one in places)
        taken = f"only {taken}" if taken else "nothing"
        together = " Arrays of inputs and labels go together, as (x, y)." * ("data" in places)
        return (
            f"`{name}` takes {taken} by position, but got {given} values: pass the others by name, "
            f"such as {_example(own, places)}.{together}"
        )
    twice = [one for one in places[:given] if one in kwargs]
    if twice:
        return f"`{name}` got `{twice[0]}` by position and by name: pass it once."
    lacking = [
        one.name
        for one in own
        if one.default is inspect.Parameter.empty and one.name not in (*places[:given], *kwargs)
    ]
    return f"`{name}` needs {' and '.join(f'`{one}`' for one in lacking)}: pass it too."


def _unknown(name: str, parameters: list[str], argument: str, value: Any, kind: type | None) -> str:
    passed = f"`{argument}={shown(value)}`"
    ways = _WAYS.get(argument, ())
    for way in ways:
        if way.parameter in parameters:
            return (
                f"{passed} is not an argument of `{name}`: {way.words.format(value=shown(value))}."
            )
    elsewhere = dict(_elsewhere(kind, name))
    for other, others in elsewhere.items():
        if argument in others:
            return f"{passed} is not an argument of `{name}`, but of `{other}`: pass it there."
    for other, others in elsewhere.items():
        for way in ways:
            if way.parameter in others:
                words = way.words.format(value=shown(value))
                return f"{passed} is not an argument of `{name}`. In `{other}`, {words}."
    known = ", ".join(f"`{one}`" for one in parameters)
    hint = did_you_mean(argument, parameters) or f", which takes {known}"
    return f"{passed} is not an argument of `{name}`{hint}."


def _elsewhere(kind: type | None, name: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the other public calls of a class, each with its parameters."""
    if kind is None:
        return
    calls = [one for one in dir(kind) if hasattr(getattr(kind, one, None), _CHECKED)]
    calls.sort(key=lambda one: (one != "fit", one))  # most arguments belong to `fit`
    functions = {kind.__name__: kind, **{one: getattr(kind, one) for one in calls}}
    for other, function in functions.items():
        if other != name:
            yield other, list(_signature(function).parameters)


def _example(own: list[inspect.Parameter], places: list[str]) -> str:
    usual = next((one for one in own if one.name == "num_classes"), None)
    named = [one for one in own if one.name not in places]
    chosen = usual or (named[0] if named else own[0])
    return f"{chosen.name}={'5' if usual else '...'}"
