"""The logs of TensorBoard, MLflow and Weights & Biases, read back with their own readers."""

import sys

import keras
import numpy as np
import pytest

import kft
from kft.errors import InputError
from tests.callbacks.test_contract import STAGES, small_model

PACKAGES = {"mlflow": kft.callbacks.MLflowLogger, "wandb": kft.callbacks.WandbLogger}


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """Return the logs of one fit in stages with all loggers."""
    folder = tmp_path_factory.mktemp("logged")
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
    y = (x[:, 0] > 0).astype("int64")
    labels = [f"{'yes' if one else 'no'}\tnumber {i}" for i, one in enumerate(y)]
    board = kft.callbacks.TensorBoardLogger(folder / "logs", project=(x, labels))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("WANDB_SILENT", "true")
        flow = kft.callbacks.MLflowLogger(
            "flowers", "first", (folder / "mlruns").as_uri(), {"backbone": "tiny"}
        )
        biases = kft.callbacks.WandbLogger("flowers", mode="offline", directory=folder)
        model = small_model()
        history = model.fit(
            x,
            y,
            epochs=2,
            batch_size=8,
            verbose=0,
            validation_data=(x, y),
            callbacks=[kft.callbacks.StagedUnfreezing(STAGES, verbose=0), board, flow, biases],
        )
    return folder, model, history.history, flow, biases, labels


def test_tensorboard_gets_metrics_stages_and_the_rate_of_each_group(logged):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, _, history, *_ = logged
    found = EventAccumulator(str(folder / "logs"))
    found.Reload()
    assert sorted(found.Tags()["scalars"]) == [
        "learning_rate",
        "loss/training",
        "loss/validation",
        "rates/body",
        "rates/head",
        "stage",
    ]
    values = {tag: [one.value for one in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
    assert values["loss/validation"] == pytest.approx(history["val_loss"])
    assert values["stage"] == [1, 2]
    assert values["rates/head"] == pytest.approx([1e-2, 1e-3])
    assert values["rates/body"] == pytest.approx([5e-4])
    assert [one.step for one in found.Scalars("rates/body")] == [1]
    (plan,) = found.Tensors("plan")
    assert "peak rate" in plan.tensor_proto.string_val[0].decode()


def test_the_projector_gets_the_features_after_training(logged):
    folder, model, *_, labels = logged
    x = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
    body = keras.Model(model.input, model.get_layer("body").output)
    rows = np.loadtxt(folder / "logs" / "features.tsv")
    np.testing.assert_allclose(rows, body.predict(x, verbose=0), rtol=1e-4, atol=1e-5)
    lines = (folder / "logs" / "labels.tsv").read_text().splitlines()
    assert lines == [label.replace("\t", " ") for label in labels]
    assert "features.tsv" in (folder / "logs" / "projector_config.pbtxt").read_text()


def test_mlflow_gets_metrics_by_epoch_stages_and_the_plan(logged, monkeypatch):
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    folder, _, history, flow, *_ = logged
    client = MlflowClient((folder / "mlruns").as_uri())
    run = client.get_run(flow.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "first"
    assert run.data.params["backbone"] == "tiny"
    assert '"unfreeze": "all"' in run.data.params["stage 2"]
    losses = client.get_metric_history(flow.run_id, "val_loss")
    assert [(one.step, one.value) for one in losses] == list(enumerate(history["val_loss"]))
    assert run.data.metrics["rates/body"] == pytest.approx(5e-4)
    (plan,) = folder.glob("mlruns/*/*/artifacts/plan.txt")
    assert "peak rate" in plan.read_text()


def test_weights_and_biases_get_the_same_without_a_network(logged):
    folder, _, _, _, biases, _ = logged
    (run,) = (folder / "wandb").glob("offline-run-*")
    assert run.name.endswith(biases.run_id)
    (file,) = run.glob("*.wandb")
    content = file.read_bytes()
    for said in (b"rates/body", b"val_loss", b"peak rate", b"layer_decay"):
        assert said in content


@pytest.mark.once
@pytest.mark.parametrize("package", PACKAGES)
def test_a_missing_package_is_named_before_anything_runs(package, monkeypatch):
    for name in [one for one in sys.modules if one.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=f"`{package}` is not installed: pip install {package}"):
        PACKAGES[package]()


@pytest.mark.once
@pytest.mark.parametrize(
    ("project", "expected"),
    [(np.zeros((3, 4)), "not a pair"), ((np.zeros((3, 4)), ["a"]), "3 inputs and 1 labels")],
)
def test_what_the_projector_cannot_show_is_refused(project, expected, tmp_path):
    with pytest.raises(InputError, match=expected):
        kft.callbacks.TensorBoardLogger(tmp_path, project=project)
