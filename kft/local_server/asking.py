"""The answers of a recipe to the bodies of requests: the content of a file, or text."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
import threading
import time
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from kft.data.image_files import MAX_PIXELS
from kft.data.modality import modality_named
from kft.data.parts import join_parts
from kft.errors import InputError
from kft.tasks import Predictions
from kft.tasks.predictions.classes import ClassPredictions

if TYPE_CHECKING:
    from kft.recipe.recipe import Recipe

__all__ = ["Asked"]

_MOST_CLASSES = 5  # bars in an answer


class Asked:
    """A recipe that answers one request at a time, from any thread.

    Args:
        recipe: A trained recipe.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._lock = threading.Lock()

    def warm_up(self) -> None:
        """Answer a made-up input, so that the model is built and compiled before the first request."""
        with contextlib.suppress(InputError):  # a recipe of one's own may take no such input
            self.answer(self._made_up())

    def _made_up(self) -> bytes:
        if self.parts:
            return json.dumps(dict.fromkeys(self.parts, "A text.")).encode()
        if not self.takes_files:
            return b"A text."
        frames = [Image.new("RGB", (64, 64), colour) for colour in ("white", "grey")]
        file = io.BytesIO()
        if self.recipe.modality == "clip":
            frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
        else:
            frames[0].save(file, "PNG")
        return file.getvalue()

    @property
    def takes_files(self) -> bool:
        """Whether a request is the content of a file, rather than text."""
        return self.recipe.modality != "text"

    @property
    def parts(self) -> Sequence[str]:
        """The keys of a request that is a JSON object; empty if requests are plain text or files."""
        return tuple(self.recipe.task.input_parts)

    @property
    def continues(self) -> bool:
        """Whether the recipe is a language model, which continues a text."""
        return hasattr(self.recipe, "generate")

    def answer(self, body: bytes) -> dict[str, Any]:
        """Answer a request.

        Args:
            body: The content of a file, text in UTF-8, or a JSON object with the texts of `parts`.

        Returns:
            `answer`, the columns of the predictions without the input; `html`, the same for the
            page; and `milliseconds`.

        Raises:
            InputError: If the request is invalid or its input cannot be used.
        """
        with self._lock, tempfile.TemporaryDirectory(prefix="kft-") as folder:
            began = time.perf_counter()
            found = self._of_file(body, Path(folder)) if self.takes_files else self._of_text(body)
            milliseconds = round(1000 * (time.perf_counter() - began), 1)
            # Within the context, as masks are drawn on the file; its path means nothing to a person.
            html = _html(found).replace(escape(f"{folder}{os.sep}"), "")
        columns = {name: values[0] for name, values in found.to_dict().items() if name != "input"}
        return {"answer": columns, "html": html, "milliseconds": milliseconds}

    def _of_file(self, content: bytes, folder: Path) -> Predictions:
        path = folder / "the file"
        path.write_bytes(content)
        try:
            return self.recipe.predict([str(path)])
        except InputError as error:
            modality = modality_named(self.recipe.modality)
            found = modality.inspect([str(path)], MAX_PIXELS)
            reason = found[0] or modality.broken([str(path)]).get(0)
            if not reason:
                raise
            raise InputError(f"{path.name} cannot be used: {reason}") from error

    def _of_text(self, body: bytes) -> Predictions:
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"the text is not UTF-8: {error}") from error
        if self.parts:
            text = join_parts(_texts(text, self.parts))
        if self.continues:
            return self.recipe.generate([text])  # type: ignore[attr-defined]
        return self.recipe.predict([text])


def _texts(body: str, parts: Sequence[str]) -> list[str]:
    """Return the texts of a JSON object, in the order of the parts."""
    expected = "{" + ", ".join(f'"{name}": "..."' for name in parts) + "}"
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the request is not JSON ({error}); send {expected}") from error
    if not isinstance(found, dict) or set(found) != set(parts):
        raise InputError(f"the request has other keys than expected; send {expected}")
    if not all(isinstance(one, str) for one in found.values()):
        raise InputError(f"a value of the request is not a text; send {expected}")
    return [found[name] for name in parts]


def _html(found: Predictions) -> str:
    """Return an answer as HTML: bars of the most probable classes, or what a notebook displays."""
    if not isinstance(found, ClassPredictions):
        return found._repr_html_()
    one = found[0]
    labels = one.label if isinstance(one.label, tuple) else (one.label,)
    rows = "".join(
        f'<tr{" class=chosen" if name in labels else ""}><th scope="row">{escape(name)}</th>'
        f'<td><span class="bar" style="width:{100 * score:.1f}%"></span></td><td>{score:.1%}</td></tr>'
        for name, score in list(one.scores.items())[: max(_MOST_CLASSES, len(labels))]
    )
    return f'<table class="classes">{rows}</table>'
