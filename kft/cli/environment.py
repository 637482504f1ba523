"""The environment variables that kft reads, what each is for, and which commands it concerns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

SECRET = "KFT_TUNE_SECRET"
_HIDDEN = "(hidden)"
WITHOUT_KERAS = ("card", "config", "deploy", "init", "runs")
_TRAINING = ("cross-validate", "demo", "find-lr", "fit", "tune")


def _always(command: str) -> bool:
    return True


def _imports_keras(command: str) -> bool:
    return command not in WITHOUT_KERAS


def _imports_code(command: str) -> bool:
    return command not in (*WITHOUT_KERAS, "demo")


def _trains(command: str) -> bool:
    return command in _TRAINING


def _searches(command: str) -> bool:
    return command == "tune"


@dataclass(frozen=True)
class Variable:
    """An environment variable that kft reads.

    Attributes:
        use: What it is for.
        concerns: Whether it concerns a command, given its name.
    """

    use: str
    concerns: Callable[[str], bool] = _imports_keras


VARIABLES = {
    "KERAS_BACKEND": Variable("Keras' backend: tensorflow, jax or torch"),
    "KERAS_HOME": Variable("the directory of keras.json, which may set the backend"),
    "KFT_CONFIG": Variable("the project file, unless --config names one", _always),
    "PYTHONPATH": Variable(
        "directories with modules, such as that of mine:MyRecipe", _imports_code
    ),
    "NO_COLOR": Variable("output without escape sequences and moving bars", _always),
    "TF_CPP_MIN_LOG_LEVEL": Variable("what TensorFlow logs; has an effect with --verbose only"),
    "HF_HUB_VERBOSITY": Variable("what downloads from the Hugging Face Hub log"),
    "XLA_FLAGS": Variable("JAX: --xla_cpu_multi_thread_eigen=false means one thread", _trains),
    "NPROC": Variable("JAX: the number of threads", _trains),
    "TF_NUM_INTRAOP_THREADS": Variable("TensorFlow: the number of threads", _trains),
    "TF_CONFIG": Variable("TensorFlow: the hosts of a cluster", _trains),
    "RANK": Variable("PyTorch: the number of this process, as torchrun sets it", _trains),
    "LOCAL_RANK": Variable("PyTorch: its number on this host", _trains),
    "WORLD_SIZE": Variable("PyTorch: the number of processes", _trains),
    "KERASTUNER_TUNER_ID": Variable(
        "a search of several processes: the name of this one", _searches
    ),
    "KERASTUNER_ORACLE_IP": Variable(
        "a search of several processes: the address of the chief", _searches
    ),
    "KERASTUNER_ORACLE_PORT": Variable("a search of several processes: its port", _searches),
    SECRET: Variable("a search of several processes: the secret that they share", _searches),
}


def variables_of(command: str | None) -> dict[str, Variable]:
    """Return the variables that concern a command.

    Args:
        command: Its name; None for all variables.
    """
    return {
        name: one for name, one in VARIABLES.items() if command is None or one.concerns(command)
    }


def values(environment: Mapping[str, str], command: str | None = None) -> dict[str, str | None]:
    """Return the value of each variable, None if it is not set; a secret is not shown.

    Args:
        environment: The variables of the process.
        command: As for `variables_of`.
    """
    found = {name: environment.get(name) for name in variables_of(command)}
    if found.get(SECRET) is not None:
        found[SECRET] = _HIDDEN
    return found
