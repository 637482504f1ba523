"""Clips in folders, tables, archives, arrays and pairs, and errors about bad ones."""

import os
import zipfile

import numpy as np
import pytest

from kft.data.modality import modality_named
from kft.data.read import read
from kft.data.unlabelled import Unlabelled
from kft.errors import InputError
from tests.clips.making import TinyClips, gif, gray_frames, write_folder, write_video
from tests.small_images import encoded

pytestmark = pytest.mark.once

FRAMES = gray_frames(4, 16)


def clips(source, **options):
    return read(source, **{"task": "single_label", "modality": "clip", **options})


@pytest.fixture
def folder(tmp_path):
    """Return a folder of two classes, each with a video, a GIF and a folder of frames."""
    root = tmp_path / "clips"
    for name in ("jump", "run"):
        write_folder(root / name / "001", FRAMES)
        write_folder(root / name / "002", FRAMES)
        (root / name / "wave.gif").write_bytes(gif(FRAMES))
        write_video(root / name / "deep.mp4", FRAMES)
    return root


def names(examples, root):
    return [os.path.relpath(path, root) for path in examples.inputs]


def test_a_folder_with_one_sub_folder_per_class(folder):
    examples = clips(folder)
    assert examples.kind == "clip_files"
    assert names(examples, folder)[:4] == ["jump/001", "jump/002", "jump/deep.mp4", "jump/wave.gif"]
    assert examples.counts() == {"jump": 4, "run": 4}


def test_parts_of_a_dataset_are_no_classes(folder, tmp_path):
    (tmp_path / "whole").mkdir()
    folder.rename(tmp_path / "whole" / "train")
    write_folder(tmp_path / "whole" / "test" / "jump" / "001", FRAMES)
    write_folder(tmp_path / "whole" / "test" / "run" / "001", FRAMES)
    with pytest.raises(InputError, match="look like parts of the data"):
        clips(tmp_path / "whole")


def test_folders_of_frames_that_are_called_alike_are_no_classes(tmp_path):
    for name in ("jump", "run"):
        for clip in ("001", "002"):
            write_folder(tmp_path / name / clip, FRAMES)
    assert clips(tmp_path).counts() == {"jump": 2, "run": 2}


def test_loose_images_of_a_class_are_named(folder):
    (folder / "jump" / "loose.png").write_bytes(encoded(FRAMES)[0])
    with pytest.raises(InputError, match=r"jump/loose\.png: a still image, but a clip is expected"):
        clips(folder)
    kept = clips(folder, on_bad_example="skip")
    assert [skipped.name for skipped in kept.skipped] == ["jump/loose.png"]
    assert len(kept) == 8


def test_a_frame_that_leads_out_of_the_data_is_refused(folder, tmp_path):
    (tmp_path / "secret.png").write_bytes(encoded(FRAMES)[0])
    (folder / "jump" / "001" / "9.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(
        InputError, match=r"001/9\.png: a link that leads out of the dataset folder"
    ):
        clips(folder)


def test_a_table_names_files_and_folders(folder):
    table = folder / "table.csv"
    table.write_text("path,label\njump/001,up\nrun/deep.mp4,on\nrun/none.mp4,on\n")
    with pytest.raises(InputError, match=r"none\.mp4: no such file"):
        clips(table)
    examples = clips(table, on_bad_example="skip")
    assert names(examples, folder) == ["jump/001", "run/deep.mp4"]


def test_an_archive_of_videos(folder):
    with zipfile.ZipFile(folder / "clips.zip", "w") as archive:
        for name in ("jump", "run"):
            archive.writestr(f"{name}/wave.gif", gif(FRAMES))
    examples = clips(folder / "clips.zip")
    assert examples.kind == "clip_bytes"
    assert examples.counts() == {"jump": 1, "run": 1}


def test_clips_in_memory():
    labels = ["a", "b"]
    assert clips((np.stack([FRAMES, FRAMES]), labels)).inputs.shape == (2, 4, 16, 16, 3)
    several = clips(([FRAMES, FRAMES[:2]], labels))
    assert several.kind == "arrays"
    assert [len(clip) for clip in several.inputs] == [4, 2]
    frames = clips(([encoded(FRAMES), encoded(FRAMES[:3])], labels))
    assert (frames.kind, frames.inputs[1]) == ("clip_bytes", tuple(encoded(FRAMES[:3])))
    equal = clips(([encoded(FRAMES), encoded(FRAMES)], labels))
    assert equal.inputs.shape == (2,)
    assert clips([(FRAMES, "a"), (FRAMES, "b")]).kind == "arrays"
    recipe = TinyClips(num_classes=2)
    for examples in (several, frames, equal):
        assert recipe.load(examples.take([1, 0]).inputs).shape == (2, 3, 16, 16, 3)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([FRAMES, "a.mp4"], r"x\[0\] is an array and x\[1\] a path"),
        ([None, None], "no usable clip; the first is no clip"),
        ([{"a": 1}, {"a": 1}], "a clip is expected"),
    ],
)
def test_clips_of_several_kinds_are_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        clips((wrong, ["a", "b"]))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (FRAMES, r"is one clip, but .* pass clip\[None\]"),
        (np.zeros((2, 3)), "add the missing axis"),
        (np.zeros((2, 5, 6, 6, 2)), "1, 3 or 4 channels"),
        (FRAMES[None] / np.float32(255), "multiply by 255"),
        (FRAMES[None] * np.float32("nan"), "NaN or infinity"),
    ],
)
def test_arrays_of_another_shape_or_range_are_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        TinyClips(num_classes=2).raw_inputs(wrong)


def test_texts_are_no_clips_and_tfds_has_none():
    texts = read((["x", "y"], ["a", "b"]), task="single_label", modality="text")
    with pytest.raises(InputError, match="takes clips"):
        TinyClips(num_classes=2).check_examples(texts)
    with pytest.raises(InputError, match=r"TFDS 'mnist': clips of TFDS are not read"):
        clips("mnist")


def test_equal_content_has_an_equal_digest(folder):
    examples = clips(folder)
    digests = examples.digests
    assert digests[0] == digests[1] == digests[4]
    assert len(set(digests)) == 3
    os.rename(folder / "jump" / "001" / "1.png", folder / "jump" / "001" / "7.png")
    assert clips(folder).digests[0] != digests[0]


def test_a_search_for_clips_to_predict(folder):
    found = list(Unlabelled([str(folder)], modality="clip"))
    assert [raw.value for raw in found] == [str(path) for path in clips(folder).inputs]
    lone = list(Unlabelled([str(folder / "run" / "001")], modality="clip"))
    assert [raw.value for raw in lone] == [str(folder / "run" / "001")]
    (folder / "none").mkdir()
    with pytest.raises(InputError, match="no clip in this folder or below it"):
        Unlabelled([str(folder / "none")], modality="clip")


def test_each_modality_answers_to_its_name():
    assert modality_named("clip").stored == "clip_files"
