"""What the README of each deployment has: the model's inputs and outputs, and how to query it."""

from __future__ import annotations

from collections.abc import Mapping

from kft.answers import Tensor
from kft.export.client_code import IMAGE_QUERY
from kft.export.deployment.model import SavedModel
from kft.export.deployment.version import Version
from kft.export.promises import Signature

_APIS = {"predict": "Predict", "classify": "Classify", "regress": "Regress"}


def head(version: Version, server: str) -> str:
    """Return the first section: what is deployed.

    Args:
        version: The version.
        server: What serves it, such as "TensorFlow Serving in Docker".
    """
    text = " It contains its tokenizer, whose ops TensorFlow Serving has." * version.is_text
    return (
        f"# {version.name}: {server}\n\n"
        f"`kft deploy` wrote these files for version {version.number}.{text}\n\n"
        "Check a version from someone else with `kft export --check` before you serve it.\n\n"
        "The version contains the inputs that warm the server up: training examples, unless the run kept none or\n"
        "`kft export` was given others.\n"
    )


def own_request(model: SavedModel, url: str) -> str:
    """Return how to send a user's own input: a command for a file, or the advice to change `request.json`.

    Args:
        model: The model.
        url: The address of the model's `:predict`, as a shell word.
    """
    if model.version.modality != "image" or len(model.inputs) != 1:
        return "\nFor inputs of your own, change `request.json`.\n"
    return f"\nA file of your own:\n\n```bash\n{IMAGE_QUERY} {url}\n```\n"


def interface(model: SavedModel) -> str:
    """Return the section on inputs and outputs of all signatures."""
    rows = [
        f"| `{name}` | {_APIS[one.api]} | {_inputs(model, one)} | {_tensors(one.outputs)} |"
        for name, one in model.signatures.items()
    ]
    return (
        "## Inputs and outputs\n\n"
        "| signature | API | inputs | outputs |\n| --- | --- | --- | --- |\n"
        + "\n".join(rows)
        + "\n\nThe first axis, n, is the batch. A bad row has the reason in `status`, and NaN, 0 or an empty text\n"
        "in the other outputs; it does not affect the other rows. Over REST, NaN is the literal `NaN`, which\n"
        "Python's `json` reads but strict parsers reject, and with it the whole answer: use gRPC with those.\n"
    )


def _inputs(model: SavedModel, signature: Signature) -> str:
    if signature.api != "predict":
        return "`tf.Example`s"
    contents = {"image": "an encoded image", "clip": "encoded frames", "text": "text"}
    is_raw = all(one.dtype == "string" for one in signature.inputs.values())
    return _tensors(signature.inputs) + f", {contents[model.version.modality]}" * is_raw


def _tensors(tensors: Mapping[str, Tensor]) -> str:
    return ", ".join(f"`{name}` {_form(one)}" for name, one in tensors.items())


def _form(tensor: Tensor) -> str:
    axes = ", ".join(["n", *("·" for _ in range(tensor.rank - 1))])
    return f"{tensor.dtype} [{axes}]"
