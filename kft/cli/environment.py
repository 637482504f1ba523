"""The environment variables that kft reads, and what each is for."""

from __future__ import annotations

from collections.abc import Mapping

SECRET = "KFT_TUNE_SECRET"
_HIDDEN = "(hidden)"

VARIABLES = {
    "KERAS_BACKEND": "Keras' backend: tensorflow, jax or torch",
    "KERAS_HOME": "the directory of keras.json, which may set the backend",
    "KFT_CONFIG": "the project file, unless --config names one",
    "PYTHONPATH": "directories with modules, such as that of mine:MyRecipe",
    "NO_COLOR": "output without escape sequences and moving bars",
    "TF_CPP_MIN_LOG_LEVEL": "what TensorFlow logs; has an effect with --verbose only",
    "HF_HUB_VERBOSITY": "what downloads from the Hugging Face Hub log",
    "XLA_FLAGS": "JAX: --xla_cpu_multi_thread_eigen=false means one thread",
    "NPROC": "JAX: the number of threads",
    "TF_NUM_INTRAOP_THREADS": "TensorFlow: the number of threads",
    "TF_CONFIG": "TensorFlow: the hosts of a cluster",
    "RANK": "PyTorch: the number of this process, as torchrun sets it",
    "LOCAL_RANK": "PyTorch: its number on this host",
    "WORLD_SIZE": "PyTorch: the number of processes",
    "KERASTUNER_TUNER_ID": "a search of several processes: the name of this one",
    "KERASTUNER_ORACLE_IP": "a search of several processes: the address of the chief",
    "KERASTUNER_ORACLE_PORT": "a search of several processes: its port",
    SECRET: "a search of several processes: the secret that they share",
}


def values(environment: Mapping[str, str]) -> dict[str, str | None]:
    """Return the value of each variable, None if it is not set; a secret is not shown.

    Args:
        environment: The variables of the process.
    """
    found = {name: environment.get(name) for name in VARIABLES}
    if found[SECRET] is not None:
        found[SECRET] = _HIDDEN
    return found
