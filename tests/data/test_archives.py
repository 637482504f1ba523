"""Archives of class folders, shards of files with label files, and hostile archives."""

import gzip
import io
import stat
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from kft import InputError
from kft.data.read import read

pytestmark = pytest.mark.once


def png(color):
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (color, 0, 0)).save(file, "PNG")
    return file.getvalue()


def write_tar(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def read_images(source, **options):
    return read(source, **{"task": "single_label", "modality": "image", **options})


PETS = {f"{kind}/{n}.png": png(50 * n + len(kind)) for kind in ("cat", "horse") for n in range(2)}


@pytest.mark.parametrize("name", ["pets.zip", "pets.tar", "pets.tar.gz", "pets.tgz", "pets.tar.xz"])
@pytest.mark.parametrize("above", ["", "pets/"])
def test_an_archive_of_class_folders(tmp_path, name, above):
    files = {above + one: content for one, content in PETS.items()}
    files |= {f"{above}__MACOSX/cat/._0.png": b"x", f"{above}cat/notes.md": b"x"}
    packed = {"gz": "w:gz", "tgz": "w:gz", "xz": "w:xz"}.get(name.rpartition(".")[2], "w")
    write = write_zip if name.endswith("zip") else lambda *args: write_tar(*args, packed)
    examples = read_images(write(tmp_path / name, files))
    assert examples.kind == "image_bytes"
    assert examples.classes == ("cat", "horse")
    assert list(examples.inputs) == list(PETS.values())
    assert [examples.label(index) for index in range(4)] == ["cat", "cat", "horse", "horse"]


def test_texts_in_an_archive(tmp_path):
    files = {f"{kind}/{n}.txt": f"{kind} {n}".encode() for kind in ("neg", "pos") for n in range(2)}
    examples = read(write_zip(tmp_path / "texts.zip", files), task="single_label", modality="text")
    assert list(examples.inputs) == ["neg 0", "neg 1", "pos 0", "pos 1"]


@pytest.mark.parametrize("label", ["cls", "txt"])
def test_shards_of_a_web_dataset(tmp_path, label):
    (tmp_path / "shards").mkdir()
    for shard in range(2):
        files = {}
        for n in range(2):
            files[f"{shard}{n}.png"] = png(10 * n + shard)
            files[f"{shard}{n}.{label}"] = str(n).encode()
            files[f"{shard}{n}.json"] = b"{}"
        write_tar(tmp_path / f"shards/{shard}.tar", files)
    examples = read_images(tmp_path / "shards")
    assert examples.classes == ("0", "1")
    assert list(examples.targets) == [0, 1, 0, 1]
    one = read_images(tmp_path / "shards/1.tar", task="regression")
    np.testing.assert_array_equal(one.targets, [0, 1])


def test_an_image_without_its_label_is_named(tmp_path):
    files = {"0.png": png(1), "0.cls": b"a", "1.png": png(2), "2.png": png(3), "2.cls": b"b"}
    path = write_tar(tmp_path / "data.tar", files)
    with pytest.raises(
        InputError, match=r"data.tar has 1 bad example:\n  1.png: no label: 1.cls is"
    ):
        read_images(path)
    assert len(read_images(path, on_bad_example="skip")) == 2


def linked_tar(path):
    with tarfile.open(path, "w") as archive:
        for name, target in (("cat/0.png", "/etc/passwd"), ("dog/0.png", "../../x.png")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return path


def linked_zip(path):
    info = zipfile.ZipInfo("cat/0.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda p: write_zip(p / "a.zip", {"../cat/0.png": png(1), **PETS}),
            r"a name that leads out",
        ),
        (
            lambda p: write_tar(p / "a.tar", {"/cat/0.png": png(1), **PETS}),
            r"a name that leads out",
        ),
        (lambda p: linked_tar(p / "a.tar"), r"cat/0.png: a link or a device"),
        (lambda p: linked_zip(p / "a.zip"), r"cat/0.png: a link: pack the file"),
        (
            lambda p: write_zip(p / "a.zip", {"0.png": png(1), **PETS}),
            r"0.png: lies outside the cl",
        ),
        (lambda p: write_zip(p / "a.zip", {**PETS, "cat/0.png": b"x"}), r"cat/0.png: not an image"),
        (
            lambda p: write_zip(
                p / "a.zip",
                {f"{part}/{n}": c for part in ("train", "val") for n, c in PETS.items()},
            ),
            r"'train', 'val' look like parts of the data.*unpack it and pass the folder",
        ),
        (lambda p: write_zip(p / "a.zip", {"cat/a.txt": b"x"}), r"a.zip has no image files"),
        (lambda p: cut(write_zip(p / "a.zip", PETS)), r"a.zip is damaged \(.*: pack it again"),
        (lambda p: cut(write_tar(p / "a.tar.gz", PETS, "w:gz")), r"a.tar.gz is damaged \("),
    ],
)
def test_what_is_wrong_with_an_archive(tmp_path, make, message):
    with pytest.raises(InputError, match=message):
        read_images(make(tmp_path))


def cut(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


@pytest.mark.parametrize("harm", ["cut", "changed"])
def test_a_tar_does_not_end_at_a_damaged_header(tmp_path, harm):
    path = write_tar(tmp_path / "a.tar", PETS)
    content = path.read_bytes()
    with tarfile.open(path) as archive:
        place = archive.getmembers()[-1].offset
    rest = b"?" + content[place + 1 :] if harm == "changed" else content[place : place + 300]
    path.write_bytes(content[:place] + rest)
    with pytest.raises(InputError, match=f"a.tar is damaged .no file begins at byte {place:,}"):
        read_images(path)
    path.write_bytes(content[:place])  # without the final zero blocks, which some programs omit
    assert len(read_images(path)) == len(PETS) - 1


def header(name, size, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("cat/0.png", tarfile.REGTYPE, r"unpacks to more than 8,589,934,592 bytes"),
        ("pax", tarfile.XHDTYPE, r"damaged \(a part of it claims to have 1,099,511,627,776 bytes"),
    ],
)
def test_a_bomb_is_refused_by_what_it_claims(tmp_path, name, kind, message):
    path = tmp_path / "bomb.tar.gz"
    with gzip.open(path, "wb") as file:
        file.write(header(name, 2**40, kind) + bytes(4096))
    with pytest.raises(InputError, match=message):
        read_images(path)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = write_zip(tmp_path / "a.zip", {**PETS, "cat/large.png": bytes(70 * 2**20)})
    with pytest.raises(InputError, match=r"cat/large.png: 73,400,320 bytes, but at most 67,109,"):
        read_images(path, max_pixels=100)
