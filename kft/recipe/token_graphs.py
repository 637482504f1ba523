"""Graphs from texts to tokens, traced once for all recipes with equal tokenizers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from kft.library_logs import library_logs

_MOST = 32  # cached graphs: a few for each tokenizer and length in use


def digest(tokenizer: Any, length: int) -> str:
    """Return a digest of everything that affects the tokens: vocabulary, settings and length.

    Args:
        tokenizer: The KerasHub tokenizer.
        length: Tokens of each text.
    """
    config = {k: v for k, v in tokenizer.get_config().items() if k not in ("name", "trainable")}
    found = hashlib.sha256(json.dumps([config, length], default=repr).encode())
    with tempfile.TemporaryDirectory(prefix="kft-tokenizer-") as folder:
        tokenizer.save_assets(folder)
        for path in sorted(Path(folder).iterdir()):
            content = path.read_bytes()
            found.update(f"{path.name} {len(content)}\n".encode() + content)
    return found.hexdigest()


def with_length(preprocessor: Any, length: int, tokenizer: Any = None) -> Any:
    """Return a KerasHub preprocessor that cuts and pads to another length.

    Args:
        preprocessor: The preprocessor.
        length: Tokens of each text.
        tokenizer: The tokenizer of the new one. Defaults to the preprocessor's.
    """
    made = type(preprocessor)(
        tokenizer=tokenizer or preprocessor.tokenizer,
        sequence_length=length,
        truncate=preprocessor.truncate,
    )
    made.build(None)  # creates its packer, otherwise created with the first text
    return made


@dataclass(frozen=True)
class _Tokens:
    """A preprocessor; instances are equal if they produce the same tokens."""

    kind: type
    digest: str
    truncate: str
    preprocessor: Any = field(compare=False)


def graph(function: Callable[..., Any], preprocessor: Any, **settings: Any) -> Callable[..., Any]:
    """Return `function(preprocessor, texts, **settings)` as a graph from a string tensor `[n]`.

    Tracing takes a second or more, running it a thousandth of that.

    Args:
        function: A module's function that uses TensorFlow's graph ops.
        preprocessor: The KerasHub preprocessor.
        **settings: Further arguments, which must be hashable.
    """
    tokens = _Tokens(
        type(preprocessor),
        digest(preprocessor.tokenizer, preprocessor.sequence_length),
        preprocessor.truncate,
        preprocessor,
    )
    return _graph(function, tokens, tuple(sorted(settings.items())))


@lru_cache(maxsize=_MOST)
def _graph(
    function: Callable[..., Any], tokens: _Tokens, settings: tuple[tuple[str, Any], ...]
) -> Callable[..., Any]:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def traced(texts: Any) -> Any:
        return function(_of_this_graph(tokens.preprocessor), texts, **dict(settings))

    if not hasattr(tokens.preprocessor.tokenizer, "set_proto"):
        return traced
    has_run = False

    def run(texts: Any) -> Any:
        """Run the graph; on its first run, SentencePiece reads its model and logs."""
        nonlocal has_run
        with contextlib.nullcontext() if has_run else library_logs():
            found = traced(texts)
        has_run = True
        return found

    return run


def _of_this_graph(preprocessor: Any) -> Any:
    """Return a preprocessor that depends on nothing outside the graph that is being traced.

    The model of a SentencePiece tokenizer belongs to the op that has read it, and TensorFlow discards
    the ops it has run when a seed is set.
    """
    tokenizer = preprocessor.tokenizer
    if not hasattr(tokenizer, "set_proto"):
        return preprocessor
    copy = type(tokenizer).from_config(tokenizer.get_config())
    copy.set_proto(tokenizer.proto)
    return with_length(preprocessor, preprocessor.sequence_length, copy)
