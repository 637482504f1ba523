"""What an export promises: the signatures of each task, their names, types and ranks.

The writer makes them, the check holds a version to them; neither can drift from the other.
"""

from dataclasses import dataclass

METADATA = "assets.extra/kft.json"
TOLERANCE = 1e-5  # between an export's numbers and the prediction's
LABEL_SEPARATOR = "|"  # between the labels of a multi-label answer, as in the data files
DTYPES = {"string": 7, "float32": 1}  # as TensorFlow's DataType numbers them
METHODS = "tensorflow/serving/"


@dataclass(frozen=True)
class Tensor:
    """The type and the number of axes of an input or output; the first axis is the batch."""

    dtype: str
    rank: int


@dataclass(frozen=True)
class Signature:
    """One way of asking a version.

    Attributes:
        api: The API of the server that answers it: `"predict"`, `"classify"` or `"regress"`.
        inputs: Its one input, which is always named `inputs`.
        outputs: Name to tensor.
    """

    api: str
    inputs: Tensor
    outputs: dict[str, Tensor]


def promised(task: str, modality: str, targets: int) -> dict[str, Signature]:
    """Return the signatures of an export, by name.

    Args:
        task: `"single_label"`, `"multi_label"` or `"regression"`.
        modality: `"image"` or `"text"`.
        targets: The number of classes, or of values that a regression predicts.
    """
    raw = Tensor("string", 1)
    if task == "regression":
        answer = {"value": Tensor("float32", 1 if targets == 1 else 2)}
    else:
        answer = {
            "classes": Tensor("string", 2),
            "scores": Tensor("float32", 2),
            "label": Tensor("string", 1),
        }
    signatures = {
        "serving_default": Signature("predict", raw, answer),
        "embed": Signature("predict", raw, {"features": Tensor("float32", 2)}),
    }
    if modality == "image":
        signatures["tensors"] = Signature("predict", Tensor("float32", 4), answer)
    if task != "regression":
        listed = {name: answer[name] for name in ("classes", "scores")}
        signatures["classify"] = Signature("classify", raw, listed)
    elif targets == 1:
        signatures["regress"] = Signature("regress", raw, {"outputs": Tensor("float32", 1)})
    return signatures
