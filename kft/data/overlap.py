"""Comparison of the parts of the data: balance, exact copies, and near-duplicates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

from kft.data.content import content_digest
from kft.data.examples import Examples
from kft.data.files import shown
from kft.data.likeness import alike_pairs, fingerprints
from kft.data.trees import taken

MOST_COMPARED = {"texts": 20_000, "arrays": 20_000}  # per part, in the search for near-duplicates
MOST_IMAGES = 5_000  # fewer, since files have to be decoded
MOST_LISTED = 10


def overlap(parts: Mapping[str, Examples]) -> dict[str, Any]:
    """Compare the parts of the data.

    Args:
        parts: Examples of the same kind by name, such as `train` and `validation`.

    Returns:
        JSON values. `parts`: for each its number of `examples`, the task's description of its targets
        (`counts` by class, or `values` from least to most), and the number of `copies` of an earlier
        example of the same part.
        `across`: the number of examples of later parts with the content of one of an earlier part.
        `conflicts`: the number of contents with several labels. `alike`: None if examples cannot be
        compared, else the number `looked_at` in each part, of similar pairs `within` each part and
        `across` parts, and the first of the latter as `pairs` of names and labels.
    """
    labels: dict[bytes, set[bytes]] = {}
    seen: set[bytes] = set()
    found: dict[str, Any] = {"parts": {}, "across": 0}
    for name, examples in parts.items():
        own = [bytes(digest) for digest in examples.digests]
        for index, digest in enumerate(own):
            labels.setdefault(digest, set()).add(_content(taken(examples.targets, index)))
        found["parts"][name] = {
            "examples": len(own),
            **examples.task.describe(examples.targets, examples.classes),
            "copies": len(own) - len(set(own)),
        }
        found["across"] += sum(digest in seen for digest in own)
        seen |= set(own)
    found["conflicts"] = sum(len(given) > 1 for given in labels.values())
    found["alike"] = _alike(parts)
    return found


def _content(target: Any) -> bytes:
    """Return bytes that identify the target of an example."""
    if isinstance(target, np.ndarray | np.generic) and not target.dtype.hasobject:
        return repr(target.shape).encode() + target.tobytes()
    return content_digest(target)


def _alike(parts: Mapping[str, Examples]) -> dict[str, Any] | None:
    chosen, prints = {}, []
    for name, examples in parts.items():
        # Each content counts once: a hundred copies would only find each other.
        _, first = np.unique(np.array([bytes(d) for d in examples.digests]), return_index=True)
        most = MOST_COMPARED.get(str(examples.kind), MOST_IMAGES)
        chosen[name] = np.sort(first)[:most]
        of_part = fingerprints(examples.take(chosen[name]))
        if of_part is None:
            return None
        prints.append(of_part)
    places = [(name, int(index)) for name, rows in chosen.items() for index in rows]
    within = dict.fromkeys(parts, 0)
    pairs = []
    for one, other in (tuple(places[i] for i in pair) for pair in alike_pairs(prints)):
        if one[0] == other[0]:
            within[one[0]] += 1
        elif parts[one[0]].digests[one[1]] != parts[other[0]].digests[other[1]]:
            pairs.append((one, other))
    return {
        "looked_at": {name: len(rows) for name, rows in chosen.items()},
        "within": within,
        "across": len(pairs),
        "pairs": [
            [_described(parts, *one), _described(parts, *other)]
            for one, other in pairs[:MOST_LISTED]
        ],
    }


def _described(parts: Mapping[str, Examples], part: str, index: int) -> dict[str, str]:
    examples = parts[part]
    name = f"example {index}"
    if examples.kind in ("image_files", "clip_files"):
        name = shown("/".join(PurePath(str(examples.inputs[index])).parts[-2:]))
    return {"part": part, "name": name, "label": examples.label(index)}
