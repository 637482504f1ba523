"""Sampling of frames from all kinds of clips, and rejected clips."""

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kft.data.clips.frames import frame_files, middles, shown_at
from kft.data.clips.loading import load_clips
from kft.data.clips.reading import check_clips, inspect_clips
from kft.data.clips.rows import raw_clips
from kft.errors import InputError
from tests.clips.making import CODECS, gif, gray_frames, write_folder, write_video
from tests.small_images import encoded

pytestmark = pytest.mark.once


def levels(clip, count=4):
    """Return the numbers of the frames sampled from a clip of `gray_frames`."""
    (frames,) = load_clips([clip], count, (8, 8))
    return np.rint(frames.mean(axis=(1, 2, 3)) / 16).astype(int).tolist()


@pytest.mark.parametrize("suffix", CODECS)
def test_the_frames_at_the_middles_of_equal_segments_are_taken(tmp_path, suffix):
    path = write_video(tmp_path / f"clip.{suffix}", gray_frames(12))
    assert levels(path) == [1, 4, 7, 10]
    assert check_clips([path], 10_000) == {}


def test_every_kind_of_clip_gives_the_same_frames(tmp_path):
    frames = gray_frames(12)
    path = write_video(tmp_path / "clip.mkv", frames)
    kinds = [
        Path(path).read_bytes(),
        gif(frames),
        write_folder(tmp_path / "clip", frames),
        tuple(encoded(frames)),
        frames,
    ]
    assert [levels(kind) for kind in kinds] == [[1, 4, 7, 10]] * len(kinds)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_a_frame_counts_for_as_long_as_it_is_shown(tmp_path, suffix):
    """The fourth is shown for three seconds, three times as long as the first three together."""
    times = [0.0, 0.3, 0.6, 0.9, 3.9]
    path = write_video(tmp_path / f"clip.{suffix}", gray_frames(5), times)
    assert levels(path, 4)[:3] == [1, 3, 3]
    assert levels(gif(gray_frames(3), [150, 50, 800]), 5) == [0, 2, 2, 2, 2]


def test_a_short_clip_repeats_its_frames(tmp_path):
    path = write_video(tmp_path / "clip.mp4", gray_frames(2))
    assert levels(path, 6) == [0, 0, 0, 1, 1, 1]
    assert levels(gif(gray_frames(2)), 4) == [0, 0, 1, 1]
    assert levels(gray_frames(1), 3) == [0, 0, 0]


def test_a_clip_gives_the_same_pixels_each_time(tmp_path):
    path = write_video(tmp_path / "clip.mp4", gray_frames(9, 64))
    one, other = (load_clips([path, path], 5, (16, 24)) for _ in range(2))
    assert one.shape == (2, 5, 16, 24, 3)
    assert np.array_equal(one, other)


def test_frames_of_a_folder_come_in_natural_order(tmp_path):
    for name in ("10.png", "2.png", "1.jpg", ".hidden.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in frame_files(tmp_path)] == ["1.jpg", "2.png", "10.png"]


def test_frames_of_a_folder_may_differ_in_size(tmp_path):
    folder = write_folder(tmp_path / "clip", gray_frames(2))
    Image.fromarray(gray_frames(3, 20)[2]).save(tmp_path / "clip" / "3.png")
    assert levels(folder, 3) == [0, 1, 2]


def test_before_its_first_frame_a_clip_shows_that_one():
    shown = shown_at([(1.0, "a"), (2.0, "b")], np.array([0.5, 1.5, 2.5]))
    assert list(shown) == ["a", "a", "b"]
    assert middles(1.0, 3.0, 2).tolist() == [1.5, 2.5]


def test_bad_clips_are_told_apart(tmp_path):
    whole = Path(write_video(tmp_path / "clip.mp4", gray_frames(60, 64))).read_bytes()
    moving = gif(np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8))
    os.mkfifo(tmp_path / "pipe.mp4")
    write_folder(tmp_path / "bad", gray_frames(2))
    (tmp_path / "bad" / "3.png").write_bytes(b"no image")
    (tmp_path / "empty").mkdir()
    clips = {
        str(tmp_path / "missing.mp4"): "no such file",
        str(tmp_path / "pipe.mp4"): "a named pipe",
        str(tmp_path / "bad"): "3.png: not an image",
        str(tmp_path / "empty"): "a folder without frames",
        b"": "empty file",
        b"RIFF____WAVEfmt ": "not a clip: MP4",
        b"#EXTM3U\n/etc/passwd": "not a clip: MP4",
        encoded(gray_frames(1))[0]: "a still image, but a clip",
        whole[: len(whole) // 2]: "cannot be decoded",
        moving[: len(moving) // 2]: "cannot be decoded",
        (encoded(gray_frames(1))[0], b"no image"): "frame 1: not an image",
    }
    found = check_clips(list(clips), 10_000)
    for place, reason in enumerate(clips.values()):
        assert found.get(place, "").startswith(reason), (place, found.get(place))
    assert "which is not installed" not in str(found)


def test_a_video_without_its_end_is_named(tmp_path):
    """Its index comes first, so it can be opened."""
    import av

    path = tmp_path / "clip.mp4"
    frames = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height = stream.width = 64
        stream.pix_fmt = "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    content = path.read_bytes()
    assert check_clips([content], 10_000) == {}
    (reason,) = check_clips([content[: len(content) * 2 // 3]], 10_000).values()
    assert reason.startswith("cut off: ")
    assert reason.endswith(" of 40 frames are there")


@pytest.mark.parametrize("suffix", ["avi", "mkv", "webm"])
def test_a_file_that_is_shorter_than_it_says_is_cut_off(tmp_path, suffix):
    whole = Path(write_video(tmp_path / f"clip.{suffix}", gray_frames(12))).read_bytes()
    assert check_clips([whole, whole + b"more"], 10_000) == {}
    for part in (whole[: len(whole) * 2 // 3], whole[:-20]):
        (reason,) = check_clips([part], 10_000).values()
        assert reason == f"cut off: {len(part):,} of {len(whole):,} bytes are there"


def test_each_byte_at_which_a_gif_is_cut_is_a_bad_clip():
    whole = gif(np.random.default_rng(0).integers(0, 256, (4, 12, 12, 3), dtype=np.uint8))
    parts = [whole[:length] for length in range(1, len(whole) - 1)]
    found = check_clips(parts, 10_000)
    assert len(found) > len(parts) * 0.9  # a cut after a frame leaves a shorter GIF
    assert not any("object at" in reason for reason in found.values())
    assert found.keys() == {place for place, part in enumerate(parts) if not _loads(part)}


def _loads(clip):
    try:
        load_clips([clip], 4, (8, 8))
    except InputError:
        return False
    return True


def test_a_frame_that_grows_beyond_the_others_is_refused():
    content = bytearray(gif(gray_frames(3, 8)))
    for place in range(len(content) - 10):
        if content[place : place + 9] == bytes([0x2C, 0, 0, 0, 0, 8, 0, 8, 0]):
            last = place
    content[last + 5 : last + 7] = (2000).to_bytes(2, "little")
    (reason,) = check_clips([bytes(content)], 10_000).values()
    assert reason == "frames of 2000 x 8 pixels where max_pixels=10,000"


def test_frames_of_a_gif_are_bounded_together(monkeypatch):
    monkeypatch.setattr("kft.data.clips.animations._MOST_PIXELS", 8 * 8 * 3)
    assert check_clips([gif(gray_frames(3, 8))], 10_000) == {}
    (reason,) = check_clips([gif(gray_frames(4, 8))], 10_000).values()
    assert reason.startswith("more than 192 pixels in all frames: cut it into clips")


def test_a_video_that_shows_none_of_its_frames_has_none(tmp_path):
    content = bytearray(Path(write_video(tmp_path / "clip.mp4", gray_frames(3))).read_bytes())
    time = content.index(b"elst") + 16  # the start time in its edit list
    content[time : time + 4] = (2**24).to_bytes(4, "big")
    assert list(check_clips([bytes(content)], 10_000).values()) == ["no frames that are shown"]


@pytest.mark.parametrize("kind", ["gif", "mp4"])
def test_large_frames_are_refused_by_the_header(tmp_path, kind):
    clip = (
        gif(gray_frames(2, 64))
        if kind == "gif"
        else write_video(tmp_path / "a.mp4", gray_frames(2, 64))
    )
    (reason,) = inspect_clips([clip], 64 * 64 - 1)
    assert reason == "frames of 64 x 64 pixels where max_pixels=4,095"
    assert inspect_clips([clip], 64 * 64) == [None]


def test_a_clip_of_too_many_frames_is_refused(tmp_path, monkeypatch):
    for module in ("animations", "reading", "video"):
        monkeypatch.setattr(f"kft.data.clips.{module}.MOST_FRAMES", 4)
    monkeypatch.setattr("kft.data.clips.animations._timed.__defaults__", (4,))
    clips = [
        write_video(tmp_path / "clip.mp4", gray_frames(5)),
        gif(gray_frames(5)),
        write_folder(tmp_path / "clip", gray_frames(5)),
    ]
    found = check_clips(clips, 10_000)
    assert [found[place].split(":")[0] for place in range(3)] == ["more than 4 frames"] * 3


def test_without_pyav_a_video_says_what_to_install(tmp_path, monkeypatch):
    path = write_video(tmp_path / "clip.mp4", gray_frames(2))
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(
        InputError, match=r"PyAV, which is not installed: pip install 'kft\[video\]'"
    ):
        load_clips([path], 2, (8, 8))
    assert levels(gif(gray_frames(2)), 2) == [0, 1]


def test_a_broken_clip_is_named_as_it_is_loaded(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom and no more")
    with pytest.raises(InputError, match=r"clip\.mp4: cannot be decoded \(.*Remove it"):
        load_clips([str(path)], 2, (8, 8))


def test_a_folder_of_clips_and_a_pattern_are_all_that_they_hold(tmp_path):
    for name in ("one", "two"):
        write_folder(tmp_path / "clips" / name, gray_frames(2))
    expected = [str(tmp_path / "clips" / name) for name in ("one", "two")]
    assert raw_clips(tmp_path / "clips") == expected
    assert raw_clips(f"{tmp_path}/*/t*") == expected[1:]
    assert raw_clips(expected[0]) == expected[:1]


@pytest.mark.parametrize("kind", ["gif", "mkv"])
def test_one_large_frame_is_held_at_a_time(tmp_path, kind):
    """A GIF of some kilobytes can have frames of 150 MB each."""
    side, count = 1000, 24
    frames = np.zeros((count, side, side, 3), "uint8")
    path = tmp_path / f"clip.{kind}"
    if kind == "gif":
        path.write_bytes(gif(frames))
    else:
        write_video(path, frames)
    load_clips([str(path)], 2, (8, 8))  # imports and traces
    tracemalloc.start()
    found = load_clips([str(path)], count, (8, 8))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.shape == (1, count, 8, 8, 3)
    assert most < 10 * frames[0].size, most
