import os
import shutil
import unicodedata

import numpy as np
import pytest
from PIL import Image

from kft import InputError
from kft.data.examples import Skipped
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
    with pytest.raises(InputError, match=r"has no class folders: expected a folder per class"):
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
    """Put one file of every bad kind into `folder`, and return what each should be called."""
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
        Skipped("neg/latin.txt", "not utf-8 at byte 3: pass the right encoding or convert it"),
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
