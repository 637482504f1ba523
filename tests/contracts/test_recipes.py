"""Every recipe, task and callback of kft's own keeps its contract, on each backend."""

import keras
import numpy as np
import pytest

import kft
from kft.tasks import (
    Classification,
    Detection,
    MultiLabel,
    NextToken,
    Regression,
    Segmentation,
    Several,
    Spans,
    Tagging,
)
from kft.testing import ContractError, check_callback, check_recipe, check_task
from kft.testing.families import TinyImages, TinyTexts, save_tiny_bert, tiny_images, tiny_texts

LABELS = {
    "single_label": ["a", "b"] * 12,
    "multi_label": np.tile([[1, 0, 1], [0, 1, 1]], (12, 1)),
    "regression": np.linspace(-3, 90, 24),
}
LABELS["several"] = {"kind": LABELS["single_label"], "age": LABELS["regression"]}
TASKS = {
    "single_label": Classification(2, hidden=(4,)),
    "multi_label": MultiLabel(3),
    "regression": Regression(),
    "several": Several({"kind": Classification(2), "age": Regression()}),
}
# Exports have tests of their own on each backend; here one family goes all the way.
ELSEWHERE = {"export", "tune"}
# Tags and answers are trained by the encoder that resumes with a label a text, on each backend.
RESUMED = set() if keras.backend.backend() == "torch" else {"resume"}


@pytest.mark.parametrize("name", TASKS)
def test_a_task_keeps_its_contract(name):
    check_task(TASKS[name], (tiny_images(24), LABELS[name]), leave_out=ELSEWHERE)


def test_texts_keep_the_contract(tmp_path):
    preset = save_tiny_bert(tmp_path / "preset")
    check_recipe(
        # On PyTorch, Keras' dropout without a seed draws from global numbers.
        lambda: TinyTexts(preset, num_classes=2, backbone_dropout=0.0),
        (tiny_texts(24), LABELS["single_label"]),
        leave_out=ELSEWHERE,
    )


def test_tags_keep_the_contract():
    texts = tiny_texts(24)
    tags = [["B-X" if word == "film" else "O" for word in text.split()] for text in texts]
    check_task(Tagging(("O", "B-X", "I-X")), (texts, tags), leave_out=ELSEWHERE | RESUMED)


# JAX takes a minute to compile the decoder for each of these fits; tests/tasks/test_segmentation.py trains
# there.
@pytest.mark.once
def test_masks_keep_the_contract():
    images = tiny_images(24)
    masks = (images.mean(axis=-1) > 128).astype(int)
    check_task(Segmentation(("dark", "bright"), channels=8), (images, masks), leave_out=ELSEWHERE)


@pytest.mark.once  # as for masks; tests/tasks/test_detection.py trains on each backend
def test_boxes_keep_the_contract():
    boxes = [[[1, 1, 9, 9, 0], [4, 2, 15, 14, 1]][: n % 3] for n in range(24)]
    task = Detection(("small", "large"), channels=8, max_boxes=4)
    check_task(task, (tiny_images(24), boxes), leave_out=ELSEWHERE)


def test_spans_keep_the_contract():
    pairs = [(f"is {text.split()[1]}", text) for text in tiny_texts(24)]
    answers = [(context.index(" ") + 1, context.split()[1]) for _, context in pairs]
    check_task(Spans(), (pairs, answers), leave_out=ELSEWHERE | RESUMED)


def test_a_language_model_keeps_the_contract():
    check_task(NextToken(), tiny_texts(24), leave_out=ELSEWHERE)


@pytest.mark.once
def test_a_family_goes_all_the_way_to_an_export_and_a_search():
    check_recipe(lambda: TinyImages(num_classes=2), (tiny_images(24), LABELS["single_label"]))


class Forgetful(keras.callbacks.Callback):
    """Says what it has seen, and does not take it back."""

    seen = 0

    def on_train_batch_end(self, batch, logs=None):
        self.seen += 1

    def get_state(self):
        return {"seen": self.seen}

    def set_state(self, state):
        pass


@pytest.mark.once
def test_a_callback_that_forgets_is_told_so():
    check_callback(lambda: kft.callbacks.RelativeEarlyStopping("loss"))
    with pytest.raises(ContractError, match="state: `set_state` does not restore"):
        check_callback(Forgetful)
