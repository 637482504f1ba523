import os
import shutil
import subprocess
import unicodedata

import numpy as np
import pytest
from PIL import Image

from kft import InputError
from kft.data import images
from kft.data.dataset_parts import sources
from kft.data.encodings import RIGHT_ENCODING
from kft.data.examples import Skipped
from kft.data.image_files import inspect_files
from kft.data.read import read

pytestmark = pytest.mark.once


def read_images(folder, **options):
    return read(folder, **{"task": "single_label", "modality": "image", **options})


def read_texts(folder, **options):
    return read(folder, **{"task": "single_label", "modality": "text", **options})


def test_a_folder_per_class_becomes_examples(image_folder):
    folder = image_folder({"dog": 2, "cat": 3})
    examples = read_images(folder)
    assert examples.kind == "image_files"
    assert examples.classes == ("cat", "dog")
    assert examples.counts() == {"cat": 3, "dog": 2}
    assert [os.path.relpath(path, folder) for path in examples.inputs][2:4] == [
        "cat/002.png",
        "dog/000.png",
    ]
    np.testing.assert_array_equal(examples.targets, [0, 0, 0, 1, 1])
    assert examples.source == f"folder {folder}"


def test_folders_inside_a_class_belong_to_it_and_hidden_files_are_ignored(image_folder):
    folder = image_folder({"cat/indoors/old": 2, "cat": 1, "dog": 2})
    for name in (".DS_Store", "cat/Thumbs.db", "dog/.hidden.png", "cat/indoors/desktop.ini"):
        (folder / name).write_bytes(b"rubbish")
    for name in (".ipynb_checkpoints", "__MACOSX", "cat/.git"):
        (folder / name).mkdir()
        (folder / name / "a.png").write_bytes(b"rubbish")
    (folder / "README.md").write_text("about the pets")
    assert read_images(folder).counts() == {"cat": 3, "dog": 2}


def test_class_names_may_be_in_any_script(image_folder):
    decomposed = unicodedata.normalize("NFD", "Gänseblümchen")
    folder = image_folder({decomposed: 2, "蒲公英": 2, "rosa de té": 1})
    assert read_images(folder).classes == ("Gänseblümchen", "rosa de té", "蒲公英")


def test_two_folders_of_one_class_name_are_refused(image_folder):
    names = [unicodedata.normalize(form, "Blümchen") for form in ("NFC", "NFD")]
    with pytest.raises(
        InputError, match=r"are the same class 'Blümchen': put their files into one"
    ):
        read_images(image_folder(dict.fromkeys(names, 1)))


def test_texts_of_a_folder_per_class(tmp_path):
    for label, text in (("neg", "bad\n"), ("pos", "\ufeffgood, naïve"), ("pos", "fine")):
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / f"{len(text)}.txt").write_text(text, "utf-8")
    examples = read_texts(tmp_path)
    assert examples.kind == "texts"
    assert list(examples.inputs) == ["bad", "good, naïve", "fine"]
    assert examples.classes == ("neg", "pos")


def test_a_validation_folder_may_lack_classes_but_not_add_any(image_folder):
    classes = ("cat", "dog", "fox")
    examples = read_images(image_folder({"dog": 1, "fox": 1}), classes=classes)
    np.testing.assert_array_equal(examples.targets, [1, 2])
    assert examples.classes == classes
    with pytest.raises(
        InputError, match=r"folder 'owl' of .*label 'owl' was not seen in training.*'cat', 'dog'.*:"
    ):
        read_images(image_folder({"dog": 1, "owl": 1}, name="more"), classes=classes)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"has no class folders: expected one sub-folder per class"
    ):
        read_images(tmp_path)


def test_empty_class_folders_are_refused(tmp_path, image_folder):
    for name in ("cat", "dog"):
        (tmp_path / "empty" / name).mkdir(parents=True)
    with pytest.raises(InputError, match=r"is empty: .* cat, dog have no files; put image files"):
        read_images(tmp_path / "empty")
    folder = image_folder({"cat": 2, "dog": 1, "fox": 2})
    (folder / "dog" / "000.png").unlink()
    with pytest.raises(InputError, match=r"class folder 'dog' of .* is empty: add examples to it"):
        read_images(folder)


def test_one_class_is_refused(image_folder):
    with pytest.raises(InputError, match=r"has one class, 'cat', but .* at least 2: add a class"):
        read_images(image_folder({"cat": 3}))


def test_images_without_a_class_are_refused(image_folder, tmp_path):
    folder = image_folder({"cat": 2, "dog": 2})
    shutil.copy(folder / "cat/000.png", folder / "stray.png")
    with pytest.raises(InputError, match=r"stray\.png: lies outside the class folders"):
        read_images(folder)
    flat = tmp_path / "flat"
    flat.mkdir()
    shutil.copy(folder / "cat/000.png", flat)
    with pytest.raises(InputError, match=r"has no class folders \(1 files lie in it without"):
        read_images(flat)


def spoil(folder, picture):
    """Write one file of every bad kind to `folder`, and return the expected reason for each."""
    picture.save(folder / "cat/whole.jpg")
    whole = (folder / "cat/whole.jpg").read_bytes()
    (folder / "cat/broken.jpg").write_bytes(whole[:-100])
    (folder / "cat/empty.jpg").write_bytes(b"")
    (folder / "dog/notes.txt").write_text("the dogs of our street")
    (folder / "dog/story.png").write_text("not a picture")
    picture.save(folder / "dog/scan.tiff")
    Image.new("RGB", (300, 200)).save(folder / "dog/huge.png")
    frames = [picture, picture.rotate(90)]
    picture.save(folder / "dog/moves.webp", save_all=True, append_images=frames)
    return {
        "cat/broken.jpg": "cannot be decoded",
        "cat/empty.jpg": "empty file",
        "dog/huge.png": "gigantic image, 300 x 200 pixels where max_pixels=50,000",
        "dog/moves.webp": "animated WebP",
        "dog/notes.txt": "not an image",
        "dog/scan.tiff": "TIFF image, but JPEG",
        "dog/story.png": "not an image",
    }


def test_bad_images_are_an_error_that_names_them(image_folder, picture):
    folder = image_folder({"cat": 2, "dog": 2})
    spoil(folder, picture)
    with pytest.raises(InputError) as raised:
        read_images(folder, max_pixels=50_000)
    message = str(raised.value)
    assert f"folder {folder} has 7 bad examples:" in message
    assert "  cat/broken.jpg: cannot be decoded" in message
    assert "and 2 more" in message
    assert 'on_bad_example="skip" to leave them out' in message


def test_bad_images_can_be_skipped_and_are_listed(image_folder, picture):
    folder = image_folder({"cat": 2, "dog": 2})
    expected = spoil(folder, picture)
    examples = read_images(folder, on_bad_example="skip", max_pixels=50_000)
    assert examples.counts() == {"cat": 3, "dog": 2}
    assert [bad.name for bad in examples.skipped] == list(expected)
    for bad in examples.skipped:
        assert bad.reason.startswith(expected[bad.name])


def test_a_class_of_bad_files_alone_does_not_vanish_silently(image_folder):
    folder = image_folder({"cat": 2, "dog": 1, "fox": 1})
    (folder / "dog/000.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"class folder 'dog' .* is empty"):
        read_images(folder, on_bad_example="skip")


def test_links_that_lead_out_of_the_folder_are_refused(image_folder, tmp_path):
    folder = image_folder({"cat": 2, "dog": 2})
    outside = image_folder({"owl": 1}, name="outside")
    (folder / "cat/secret.png").symlink_to(outside / "owl/000.png")
    (folder / "owl").symlink_to(outside / "owl")
    (folder / "dog/round").symlink_to(folder)
    (folder / "dog/gone.png").symlink_to(folder / "nothing")
    (folder / "dog/inside.png").symlink_to(folder / "dog/000.png")
    with pytest.raises(InputError, match=r"cat/secret\.png: a link that leads out of the dataset"):
        read_images(folder)
    examples = read_images(folder, on_bad_example="skip")
    assert examples.counts() == {"cat": 2, "dog": 3}
    assert {bad.name for bad in examples.skipped} == {
        "cat/secret.png",
        "owl",
        "dog/round",
        "dog/gone.png",
    }


def test_the_folder_itself_may_be_a_link(image_folder, tmp_path):
    (tmp_path / "link").symlink_to(image_folder({"cat": 1, "dog": 1}))
    assert len(read_images(tmp_path / "link")) == 2


def test_bad_texts_are_named(tmp_path):
    for label in ("neg", "pos"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "good.txt").write_text(label)
    (tmp_path / "neg/latin.txt").write_bytes("schön".encode("latin-1"))
    (tmp_path / "neg/empty.txt").write_text(" \n")
    (tmp_path / "pos/page.html").write_text("<p>")
    examples = read_texts(tmp_path, on_bad_example="skip")
    assert examples.skipped == (
        Skipped("neg/empty.txt", "empty file"),
        Skipped("neg/latin.txt", f"not utf-8 at byte 3: {RIGHT_ENCODING}"),
        Skipped("pos/page.html", "not a text file: .html suffix where .txt is expected"),
    )
    (tmp_path / "pos/page.html").unlink()
    (tmp_path / "neg/empty.txt").unlink()
    with pytest.raises(InputError, match=r"1 bad example:\n  neg/latin.txt: not utf-8 at byte 3"):
        read_texts(tmp_path)
    assert "schön" in read_texts(tmp_path, encoding="latin-1").inputs


@pytest.mark.parametrize("task", ["multi_label", "regression"])
def test_a_folder_gives_one_label_an_example(task, image_folder):
    with pytest.raises(InputError, match=rf"task='{task}': write a table"):
        read_images(image_folder({"a": 1, "b": 1}), task=task)


def write_texts(root, *names):
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text {number}")
    return root


def test_pipes_devices_and_endless_files_in_a_folder_are_named(tmp_path):
    folder = write_texts(tmp_path, "a/0.txt", "b/0.txt")
    os.mkfifo(folder / "a/pipe.txt")
    (folder / "a/zero.txt").symlink_to("/dev/zero")
    (folder / "b/round.txt").symlink_to(folder / "b/round.txt")
    with open(folder / "b/sparse.txt", "wb") as file:
        file.truncate(10**12)
    examples = read_texts(folder, on_bad_example="skip")
    assert examples.counts() == {"a": 1, "b": 1}
    reasons = {bad.name: bad.reason for bad in examples.skipped}
    assert reasons["a/pipe.txt"] == "a named pipe, but a file is expected"
    assert reasons["a/zero.txt"].startswith(
        "a link that leads out of the dataset folder, to /dev/zero"
    )
    assert reasons["b/round.txt"] == "a link that leads nowhere"
    assert reasons["b/sparse.txt"].startswith("1,000,000,000,000 bytes, but at most")


def test_an_image_file_that_is_no_file_or_too_large_is_named_before_it_is_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "sparse.png")
    with open(tmp_path / "sparse.png", "r+b") as file:
        file.truncate(10**12)
    files = [str(tmp_path / name) for name in ("pipe.png", "sparse.png", "gone.png")]
    pipe, sparse, gone = inspect_files([*files])
    assert pipe == "a named pipe, but a file is expected"
    assert sparse.startswith("1,000,000,000,000 bytes, but at most")
    assert gone == "no such file"


def test_names_of_files_need_not_be_utf_8(image_folder):
    folder = image_folder({"a": 2, "b": 2})
    for name in (b"a/caf\x82.png", b"b/two\nlines.png"):
        shutil.copy(folder / "a/000.png", os.path.join(os.fsencode(folder), name))
    with open(os.path.join(os.fsencode(folder), b"b/bad\x82.png"), "wb") as file:
        file.write(b"no image")
    examples = read_images(folder, on_bad_example="skip")
    assert examples.counts() == {"a": 3, "b": 3}
    assert examples.skipped == (Skipped(r"b/bad\x82.png", "not an image"),)
    assert images.load(examples.inputs, (9, 12)).shape == (6, 9, 12, 3)
    assert len(set(examples.digests)) == 4  # two are copies of the first one


def test_a_class_folder_whose_name_is_not_utf_8_is_named(tmp_path):
    folder = write_texts(tmp_path, "a/0.txt", "b/0.txt")
    os.mkdir(os.path.join(os.fsencode(folder), b"caf\x82"))
    with pytest.raises(InputError, match=r"caf\\x82: a class folder whose name is .* not UTF-8"):
        read_texts(folder)
    assert read_texts(folder, on_bad_example="skip").classes == ("a", "b")


def test_folders_may_lie_as_deep_as_the_file_system_lets_them(tmp_path):
    folder = write_texts(tmp_path, "a/0.txt", "b/0.txt")
    inside = os.open(folder / "a", os.O_RDONLY)
    for _ in range(1200):  # deeper than Python's recursion limit
        os.mkdir("d", dir_fd=inside)
        below = os.open("d", os.O_RDONLY, dir_fd=inside)
        os.close(inside)
        inside = below
    with open(os.open("deep.txt", os.O_WRONLY | os.O_CREAT, dir_fd=inside), "w") as file:
        file.write("deep down")
    os.close(inside)
    counts = read_texts(folder).counts()
    subprocess.run(["rm", "-r", folder / "a"], check=True)  # pytest's recursion would be too deep
    assert counts == {"a": 2, "b": 1}


@pytest.mark.parametrize(
    ("first", "names"),
    [
        ("train", ("train/a/0.txt", "train/b/0.txt", "val/a/0.txt", "val/b/0.txt")),
        (
            "Training_Set",
            ("TEST/a/0.txt", "TEST/b/0.txt", "Training_Set/a/0.txt", "Training_Set/b/0.txt"),
        ),
        ("train", ("test/0.txt", "test/1.txt", "train/a/0.txt", "train/b/0.txt")),
        ("train", ("other/0.txt", "train/a/0.txt", "train/b/0.txt", "val/a/0.txt", "val/b/0.txt")),
        ("fold1", ("fold1/a/0.txt", "fold1/b/0.txt", "fold2/a/0.txt", "fold2/b/0.txt")),
        (
            "left",
            ("left/a/0.txt", "left/b/0.txt", "right/a/0.txt", "right/b/0.txt", "right/c/0.txt"),
        ),
        (
            "seg_train/seg_train",
            (
                "seg_train/seg_train/a/0.txt",
                "seg_train/seg_train/b/0.txt",
                "seg_test/seg_test/a/0.txt",
                "seg_test/seg_test/b/0.txt",
            ),
        ),
    ],
)
def test_parts_of_a_dataset_are_not_taken_for_its_classes(first, names, tmp_path):
    folder = write_texts(tmp_path, *names)
    with pytest.raises(
        InputError, match=rf"look like parts .*: pass \S*/{first.split('/')[0]}, and another part"
    ):
        read_texts(folder)
    with pytest.raises(InputError, match="look like parts"):
        read_texts(folder, classes=("a", "b"))
    assert read_texts(folder / first).classes == ("a", "b")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ("train/a/0.txt", "train/b/0.txt", "val/a/0.txt", "val/b/0.txt", "test/a/0.txt"),
            ("train", "val", "Trained on {}/train, validated on {}/val; {}/test is left out."),
        ),
        (
            ("TRAINING/a/0.txt", "TRAINING/b/0.txt", "Validation/a/0.txt"),
            ("TRAINING", "Validation", "Trained on {}/TRAINING, validated on {}/Validation."),
        ),
        (
            ("seg_train/seg_train/a/0.txt", "seg_train/seg_train/b/0.txt", "seg_test/a/0.txt"),
            ("", "", ""),
        ),
        (
            ("train/train/a/0.txt", "train/train/b/0.txt", "test/0.txt"),
            (
                "train/train",
                None,
                "Trained on {}/train, validated on a part of it; {}/test is left out.",
            ),
        ),
        (("train/0.txt", "val/0.txt", "bus/0.txt"), ("", "", "")),
    ],
)
def test_training_and_validation_folders_are_taken_for_what_they_are(names, expected, tmp_path):
    folder = write_texts(tmp_path, *names)
    train, validation, said = expected
    found = sources(folder, 0.2, "text", split=True)
    if not said:
        assert found == (folder, 0.2, "")
        return
    assert found[0] == str(folder / train)
    assert found[1] == (0.2 if validation is None else str(folder / validation))
    assert found[2] == said.replace("{}", str(folder))


def test_validation_data_of_ones_own_leave_the_folder_out(tmp_path):
    folder = write_texts(tmp_path, "train/a/0.txt", "train/b/0.txt", "val/a/0.txt", "val/b/0.txt")
    train, validation, said = sources(str(folder), "other", "text", split=False)
    assert (train, validation) == (str(folder / "train"), "other")
    assert said == f"Trained on {folder}/train; {folder}/val is left out."


@pytest.mark.parametrize(
    "names",
    [
        ("cat/0.txt", "train/0.txt", "bus/0.txt"),
        ("cat/texts/0.txt", "dog/texts/0.txt"),
        ("cat/in/0.txt", "cat/out/0.txt", "dog/in/0.txt", "dog/out/0.txt", "dog/0.txt"),
        ("cat/old/0.txt", "cat/new/0.txt", "dog/big/0.txt", "dog/small/0.txt"),
    ],
)
def test_folders_inside_classes_are_no_parts(names, tmp_path):
    classes = tuple(sorted({name.split("/")[0] for name in names}))
    assert read_texts(write_texts(tmp_path, *names)).classes == classes


def test_a_folder_too_high_names_the_one_below(tmp_path):
    with pytest.raises(InputError, match=r"has one folder, 'data', .*'a', 'b': pass \S*/data if"):
        read_texts(write_texts(tmp_path, "data/a/0.txt", "data/b/0.txt"))


def test_texts_in_utf_16_are_read_by_their_mark(tmp_path):
    folder = write_texts(tmp_path, "a/0.txt", "b/0.txt")
    (folder / "a/1.txt").write_text("schön", "utf-16")
    assert "schön" in read_texts(folder).inputs
