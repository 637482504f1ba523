import os

import keras
import numpy as np
import pytest
from keras import layers

import kft
from kft.errors import InputError
from kft.stages.plan import kept_flags, plan
from kft.stages.schedules import WarmupSchedule
from kft.stages.stage import checked_stages, read_stages, write_stages
from tests.models import convnet

GOOD = {"unfreeze": 1, "epochs": 2, "learning_rate": 1e-3}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unfreeze": -1}, r"unfreeze=-1.*0 for the head"),
        ({"unfreeze": True}, r"unfreeze=True"),
        ({"unfreeze": "top"}, r"unfreeze='top'.*'all'"),
        ({"unfreeze": []}, r"unfreeze=\[\]"),
        ({"epochs": 0}, r"epochs=0.*at least 1"),
        ({"epochs": 1.5}, r"epochs=1.5"),
        ({"learning_rate": 0}, r"learning_rate=0.*positive"),
        ({"learning_rate": float("nan")}, r"learning_rate=nan"),
        ({"warmup": 1.0}, r"warmup=1.0.*fraction"),
        ({"warmup": -3}, r"warmup=-3"),
        ({"decay": "exp"}, r"decay='exp'.*'cosine'"),
        ({"layer_decay": 0}, r"layer_decay=0"),
        ({"layer_decay": 1.1}, r"layer_decay=1.1"),
        ({"name": " "}, r"name=' '"),
        ({"name": "a\x1b[2J"}, r"name='a\\x1b\[2J'.*printable"),
        ({"name": "a\ud800"}, r"name='a\\ud800'.*printable"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named_with_the_way_out(change, message):
    with pytest.raises(InputError, match=message):
        kft.Stage(**(GOOD | change))


@pytest.mark.parametrize("stages", [[], None, "head", kft.Stage(**GOOD), [1], [{"unfreeze": 0}]])
def test_only_a_list_of_stages_is_a_list_of_stages(stages):
    with pytest.raises(InputError):
        checked_stages(stages)


def test_stages_come_back_from_their_file(tmp_path):
    stages = (
        kft.Stage(0, 3, 1e-3),
        kft.Stage(["c2", "b*"], 2, 1e-4, warmup=5, decay="cosine", layer_decay=0.8, name="middle"),
        kft.Stage("all", 1, 1e-5, warmup=0.1),
    )
    write_stages(tmp_path / "stages.yaml", stages)
    assert read_stages(tmp_path / "stages.yaml") == stages


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", r"not plain YAML: .*line 1, column 5"),
        ("unfreeze: 0", "holds one dict, expected a list"),
        ("", "holds nothing, expected a list"),
        ("- 3", "stage 1 is 3, expected a stage with unfreeze, epochs, learning_rate"),
        (
            "- {unfreeze: 0, epochs: 1, learning_rate: 0.1, speed: 9}",
            r"stage 1 has unknown settings \['speed'\]: a stage takes unfreeze",
        ),
        ("- {unfreeze: 0, epochs: 1}", "stage 1 lacks learning_rate: a stage takes unfreeze"),
        ("- {unfreeze: 0, speed: 9}", r"settings \['speed'\] and lacks epochs, learning_rate: a"),
        ("- {unfreeze: 0, epochs: 1, learning_rate: 0.1, 7: 9}", "the key 7 is not text"),
        ("- {unfreeze: 0, epochs: 1, epochs: 2}", "'epochs' is repeated here"),
        ("- !!python/object/apply:os.system ['true']", "the tag .* is not supported"),
        ("- &a {unfreeze: 0}\n- *a", "anchors and aliases are not supported"),
        ("[" * 3000, "more than 20 lists and mappings"),
        (
            "- {unfreeze: yes, epochs: 1, learning_rate: 0.1}",
            r"stages\.yaml', stage 1: `unfreeze: \"yes\"`: pass 0 for the head",
        ),
        ("- {unfreeze: 0, epochs: 1:30, learning_rate: 0.1}", '`epochs: "1:30"`'),
        ("- {unfreeze: 0, epochs: 1_000, learning_rate: 0.1}", '`epochs: "1_000"`'),
        ("- {unfreeze: 0, epochs: 2024-01-01, learning_rate: 0.1}", '`epochs: "2024-01-01"`'),
        ("- {unfreeze: 0, epochs: 1, learning_rate: .inf}", "`learning_rate: Infinity`"),
        ("- {unfreeze: 0, epochs: 1, learning_rate: 1e300}", r"`learning_rate: 1e\+300`"),
        (f"- {{unfreeze: 0, epochs: {'9' * 5000}, learning_rate: 0.1}}", "5,000 characters"),
        ("- {unfreeze: 0, epochs: 1, learning_rate: 0.1, warmup: true}", "`warmup: true`"),
        ("- {unfreeze: [[a]], epochs: 1, learning_rate: 0.1}", "`unfreeze: "),
    ],
    ids=lambda value: value[:40],
)
def test_a_bad_stages_file_says_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "stages.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_stages(path)


def test_numbers_in_a_stages_file_are_those_of_yaml_1_2(tmp_path):
    """In YAML 1.1, `1e-3` would be a string."""
    path = tmp_path / "stages.yaml"
    path.write_text("- {unfreeze: 0, epochs: 1, learning_rate: 1e-3, warmup: .5}\n")
    assert read_stages(path) == (kft.Stage(0, 1, 0.001, warmup=0.5),)


def test_only_a_regular_file_of_bounded_size_is_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, "/dev/zero"):
        with pytest.raises(InputError, match="is not a regular file"):
            read_stages(path)
    (tmp_path / "large.yaml").write_text("# long\n" * 50_000)
    with pytest.raises(InputError, match=r"more than 262,144 bytes"):
        read_stages(tmp_path / "large.yaml")


def test_a_missing_stages_file_is_named():
    with pytest.raises(InputError, match=r"Cannot read the stages file 'nowhere\.yaml'"):
        read_stages("nowhere.yaml")


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (kft.Stage(7, 1, 0.1), r"unfreeze=7.*'convnet' has 3 blocks: pass 0 to 3, or 'all'"),
        (kft.Stage(["c9*"], 1, 0.1), r"'c9\*' matches no layer.*begin with c3, c2"),
    ],
)
def test_a_stage_that_does_not_fit_the_model_is_refused(stage, message):
    with pytest.raises(InputError, match=message):
        plan(convnet(), [stage])


def test_a_stage_that_would_train_nothing_is_refused():
    inputs = keras.Input((4, 4, 3))
    x = layers.BatchNormalization(name="norm")(inputs)
    body = keras.Model(inputs, layers.GlobalAveragePooling2D()(x), name="body")
    own = keras.Sequential([keras.Input((4, 4, 3)), body, layers.Dense(2, name="out")])

    class Whole(keras.Model):
        def __init__(self):
            super().__init__()
            self.body = own

        def call(self, inputs):
            return self.body(inputs)

    model = Whole()
    model(np.zeros((1, 4, 4, 3), "float32"))
    with pytest.raises(InputError, match=r"trains nothing.*batch_norm='train'"):
        plan(model, [kft.Stage(["norm"], 1, 0.1)])


def trained(model, stage, batch_norm="frozen"):
    with kept_flags(model):
        plan(model, [stage], batch_norm)[0].enter(model)
        return {variable.path for variable in model.trainable_variables}


HEAD = {"head/kernel", "head/bias"}
TOP = {"c3/kernel", "c3/bias"}
SECOND = {"c2/kernel", "c2/bias"}
NORM = {"b2/gamma", "b2/beta"}


@pytest.mark.parametrize(
    ("unfreeze", "batch_norm", "expected"),
    [
        (0, "frozen", HEAD),
        (1, "frozen", HEAD | TOP),
        (2, "frozen", HEAD | TOP | SECOND),
        (2, "train", HEAD | TOP | SECOND | NORM),
        (["c2"], "frozen", HEAD | SECOND),
        (["c2..b2"], "frozen", HEAD | SECOND),
        (["?2"], "train", HEAD | SECOND | NORM),
        ("all", "frozen", HEAD | TOP | SECOND | {"c1/kernel", "c1/bias"}),
    ],
)
def test_exactly_the_chosen_layers_train(unfreeze, batch_norm, expected):
    assert trained(convnet(), kft.Stage(unfreeze, 1, 0.1), batch_norm) == expected


def test_flags_do_not_depend_on_what_they_were():
    model = convnet()
    wanted = trained(model, kft.Stage(1, 1, 0.1))
    model.trainable = False
    model.get_layer("c3").trainable = True
    assert trained(model, kft.Stage(1, 1, 0.1)) == wanted
    assert not model.trainable, "kept_flags puts back what was there"
    assert model.get_layer("c3").trainable


def test_batch_norm_inside_a_layer_stays_frozen_when_its_layer_is_unfrozen():
    class Cell(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.conv, self.norm = layers.Conv2D(2, 1), layers.BatchNormalization()

        def build(self, shape):
            self.conv.build(shape)
            self.norm.build((*shape[:-1], 2))
            self.built = True

        def call(self, inputs, training=None):
            return self.norm(self.conv(inputs), training=training)

        def compute_output_shape(self, shape):
            return (*shape[:-1], 2)

    inputs = keras.Input((4, 4, 3))
    x = layers.GlobalAveragePooling2D()(Cell(name="cell")(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="out")(x))
    plan(model, [kft.Stage("all", 1, 0.1)])[0].enter(model)
    assert not model.get_layer("cell").norm.trainable
    assert model.get_layer("cell").conv.trainable


def test_layer_decay_lowers_the_rate_block_by_block():
    groups = plan(convnet(), [kft.Stage("all", 1, 0.1, layer_decay=0.5)])[0].groups
    assert [(group.name, group.learning_rate) for group in groups] == [
        ("head", 0.1),
        ("c3", 0.05),
        ("c2..b2", 0.025),
        ("c1..b1", 0.0125),
    ]


@pytest.mark.parametrize(
    ("settings", "step", "rate"),
    [
        ({}, 5, 0.8),
        ({"warmup_steps": 4}, 0, 0.2),
        ({"warmup_steps": 4}, 3, 0.8),
        ({"warmup_steps": 4}, 9, 0.8),
        ({"warmup_steps": 4, "initial": 0.4}, 1, 0.6),
        ({"warmup_steps": 4, "start": 10}, 10, 0.2),
        ({"decay": "linear", "total_steps": 8}, 4, 0.4),
        ({"decay": "linear", "total_steps": 8}, 99, 0.0),
        ({"decay": "cosine", "total_steps": 10, "warmup_steps": 2}, 6, 0.4),
        ({"decay": "cosine", "total_steps": 10, "warmup_steps": 2}, 2, 0.8),
    ],
    ids=str,
)
def test_the_schedule_at_a_step(settings, step, rate):
    value = keras.ops.convert_to_numpy(WarmupSchedule(0.8, **settings)(step))
    np.testing.assert_allclose(value, rate, atol=1e-6)


def test_the_schedule_comes_back_from_its_config():
    schedule = WarmupSchedule(0.8, warmup_steps=2, decay="linear", total_steps=9, start=3)
    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(schedule))
    assert again.get_config() == schedule.get_config()
