"""What the clients of a clip's export begin with: how frames are taken of a video."""

CLIP_FRAMES = '''\
import io
import sys

import av  # pip install av


def frames(path, count={frames}):
    """The frames that are shown at the middles of equal segments of a video, as PNG files."""
    with av.open(path) as video:
        times = [frame.time for frame in video.decode(video=0)]
    end = times[-1] + (times[-1] - times[0]) / max(len(times) - 1, 1)
    moments = [times[0] + (n + 0.5) / count * (end - times[0]) for n in range(count)]
    wanted = [max(n for n, time in enumerate(times) if time <= moment) for moment in moments]
    files = {{}}
    with av.open(path) as video:
        for number, frame in enumerate(video.decode(video=0)):
            if number in wanted:
                files[number] = io.BytesIO()
                frame.to_image().save(files[number], "PNG")
    return [files[number].getvalue() for number in wanted]


'''
REST_CLIP = """\
# A bad row has the reason in "status", and NaN, 0 or an empty string for all else.
import base64
import json
import urllib.request

instances = [
    [{{"b64": base64.b64encode(frame).decode()}} for frame in frames(path)] for path in sys.argv[1:]
]
"""
