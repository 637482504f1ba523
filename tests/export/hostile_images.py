"""Hostile images: small files that claim or contain far too much to decode."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def encode(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *, bits: int = 8, colour: int = 2, data=None, extra=b"", late=b""):
    """Return a black PNG with chunks around its pixels; its data may contradict its header."""
    samples = {0: 1, 2: 3}[colour]
    row = bytes(1 + (width * bits * samples + 7) // 8)
    compressor = zlib.compressobj(1)
    if data is None:
        data = b"".join(compressor.compress(row) for _ in range(height)) + compressor.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", data)
    return b"\x89PNG\r\n\x1a\n" + header + extra + pixels + late + chunk(b"IEND", b"")


def texts(kind: bytes, count: int, megabytes: float) -> bytes:
    """Return compressed text chunks of a PNG."""
    head = {b"zTXt": b"k\0\0", b"iTXt": b"k\0\1\0\0\0", b"iCCP": b"k\0\0"}[kind]
    return chunk(kind, head + zlib.compress(bytes(int(megabytes * 1e6)), 9)) * count


def gif(frames: int, width: int, height: int, screen: tuple[int, int] | None = None) -> bytes:
    """Return a GIF that repeats one frame."""
    one = encode(Image.new("P", (width, height), 1), "GIF")
    start = one.index(b"\x2c\0\0\0\0")
    head = one[:6] + struct.pack("<HH", *(screen or (width, height))) + one[10:start]
    return head + one[start:-1] * frames + b";"


def jpeg(width: int, height: int, scans: int) -> bytes:
    """Return a progressive JPEG that repeats its last scan."""
    whole = encode(Image.new("L", (width, height), 130), "JPEG", progressive=True)
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last * scans + b"\xff\xd9"


def bmp(width: int, height: int) -> bytes:
    """Return a BMP of a few pixels that claims another size."""
    made = encode(Image.new("RGB", (5, 5)), "BMP")
    return made[:18] + struct.pack("<ii", width, height) + made[26:]


def picture(seed: int, size: tuple[int, int] = (20, 17)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


NO_IMAGE = "not a JPEG, PNG, GIF, BMP or WebP image"
UNDECODABLE = "cannot be decoded"
TOO_LARGE = "more than 100000 pixels"


def bad_images() -> dict[str, tuple[bytes, str]]:
    """Return images that must not be decoded, with the status that each gets, by name."""
    whole = encode(picture(0), "PNG")
    photo = encode(picture(0), "JPEG")
    return {
        "nothing": (b"", NO_IMAGE),
        "a text": (b"no image", NO_IMAGE),
        "zeros": (bytes(1000), NO_IMAGE),
        "a tiff": (encode(picture(0), "TIFF"), NO_IMAGE),
        "a jpeg xl": (b"\xff\x0a" + bytes(40), NO_IMAGE),
        "a jpeg xl in a box": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), NO_IMAGE),
        "a jxl where webp is": (b"RIFF\0\0\0\0\xff\x0a" + bytes(40), NO_IMAGE),
        "half a png": (whole[: len(whole) // 2], UNDECODABLE),
        "a png's first bytes": (whole[:8], UNDECODABLE),
        "a png without header": (
            whole[:8] + chunk(b"tEXt", b"a\0b\0\0\0\0\0") + whole[8:],
            UNDECODABLE,
        ),
        "half a jpeg": (photo[: len(photo) // 2], UNDECODABLE),
        "a jpeg's first bytes": (photo[:3], UNDECODABLE),
        "a gif's first bytes": (b"GIF89a", UNDECODABLE),
        "a gif without frames": (gif(0, 5, 5), UNDECODABLE),
        "half a gif": (gif(1, 50, 50)[:60], UNDECODABLE),
        "a bmp's first bytes": (b"BM", UNDECODABLE),
        "a webp's first bytes": (b"RIFF\0\0\0\0WEBPVP8 ", UNDECODABLE),
        "an animated webp": (
            encode(picture(0), "WEBP", save_all=True, append_images=[picture(1)]),
            UNDECODABLE,
        ),
        "a large png": (png(400, 300), TOO_LARGE),
        "a deep png": (png(400, 300, bits=16), TOO_LARGE),
        "a large png of one bit": (png(400, 300, bits=1, colour=0), TOO_LARGE),
        "a png that claims": (png(2**31 - 1, 2**31 - 1, data=b"no"), TOO_LARGE),
        "a png that claims all bits": (png(2**32 - 1, 2**32 - 1, data=b"no"), TOO_LARGE),
        "a wide png": (png(90_000, 1), TOO_LARGE),  # resizing makes 12 rows of this width
        "a png of 110 KB": (png(30_000, 30_000, bits=1, colour=0), TOO_LARGE),
        "a png of texts": (png(5, 5, extra=texts(b"zTXt", 100, 7.9)), UNDECODABLE),
        "a png of other texts": (png(5, 5, extra=texts(b"iTXt", 100, 7.9)), UNDECODABLE),
        "a png of late texts": (png(5, 5, late=texts(b"zTXt", 100, 7.9)), UNDECODABLE),
        "a png of both": (
            png(5, 5, extra=texts(b"zTXt", 9, 7.9), late=texts(b"iTXt", 9, 7.9)),
            UNDECODABLE,
        ),
        "a large jpeg": (jpeg(400, 300, 0), TOO_LARGE),
        "a jpeg of scans": (jpeg(300, 300, 300), UNDECODABLE),
        "a large gif": (gif(1, 400, 300), TOO_LARGE),
        "a gif of a large screen": (gif(1, 5, 5, screen=(60_000, 60_000)), TOO_LARGE),
        "a gif of a large frame": (gif(1, 400, 300, screen=(5, 5)), TOO_LARGE),
        "a large bmp": (encode(Image.new("RGB", (400, 300)), "BMP"), TOO_LARGE),
        "a bmp that claims": (bmp(60_000, 60_000), TOO_LARGE),
        "a bmp that claims top down": (bmp(60_000, -60_000), TOO_LARGE),
        "a bmp of -2**31": (bmp(1, -(2**31)), TOO_LARGE),
        "a bmp of less than nothing": (bmp(-5, 5), TOO_LARGE),
        "a large webp": (encode(Image.new("RGB", (400, 300)), "WEBP"), TOO_LARGE),
        "a large lossless webp": (
            encode(Image.new("RGB", (400, 300)), "WEBP", lossless=True),
            TOO_LARGE,
        ),
        "a large transparent webp": (encode(Image.new("RGBA", (400, 300)), "WEBP"), TOO_LARGE),
    }


def unusual_images() -> dict[str, bytes]:
    """Return unusual images that are cheap to decode, by name."""
    animated = {"save_all": True, "append_images": [picture(seed) for seed in (1, 2)]}
    return {
        "one pixel": png(1, 1),
        "a deep png": png(5, 5, bits=16),
        "a png of few texts": png(5, 5, extra=texts(b"zTXt", 3, 0.1) + texts(b"iCCP", 1, 0.1)),
        "an animated png": encode(picture(0), "PNG", **animated),
        "an interlaced gif": encode(picture(0).convert("P"), "GIF", interlace=1),
        "an animated gif": encode(picture(0), "GIF", **animated),
        "a gif with a comment": encode(picture(0), "GIF", comment=b"c" * 700),
        "a gif of thousands of frames": gif(3000, 300, 300),
        "a gif that goes on": gif(1, 5, 5) + b"more",
        "a gif whose second frame is broken": gif(1, 5, 5)[:-1] + b"\x2c broken",
        "a progressive jpeg": jpeg(300, 300, 0),
        "a bmp top down": bmp(5, -5),
        "a lossless webp": encode(picture(0), "WEBP", lossless=True),
        "a transparent webp": encode(picture(0).convert("RGBA"), "WEBP"),
    }
