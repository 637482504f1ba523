"""What an untrusted version could do to the process that loads it, found before it runs."""

import math
from collections.abc import Iterator
from typing import Any

from kft.export.graphs import Graph, all_nodes, reachable
from kft.export.harmless import HARMLESS

# The saver of a SavedModel has these, but serving a model never calls them.
_SAVING = frozenset({"SaveV2", "MergeV2Checkpoints", "ShardedFilename"})
_MOST_CONSTANTS = 2**28  # bytes; weights are variables


def dangers(graph: Graph, core_ops: frozenset[str], text_ops: frozenset[str]) -> list[str]:
    """Return what a version could do besides computing, a sentence each; empty if it is harmless.

    Args:
        graph: The graph of the version.
        core_ops: The ops of TensorFlow, whose names a function must not have.
        text_ops: The ops of TensorFlow Text, all of which only compute.
    """
    reasons = []
    allowed = {*HARMLESS, *text_ops, *(set(graph.functions) - core_ops)}
    served = {(place, node.name) for place, node in reachable(graph, _served(graph))}
    restore = [graph.saver.restore_op_name]
    run = served | {(place, node.name) for place, node in reachable(graph, restore)}
    restoring = _restoring(graph) - served
    size = 0
    for place, node in all_nodes(graph):
        size += _bytes(node)
        key = (place, node.name)
        is_saver = (node.op in _SAVING and key not in run) or (
            node.op == "RestoreV2" and key in restoring
        )
        if node.op not in allowed and not is_saver:
            reasons.append(
                f"the op {shown(node.op)} may reach files, processes or code, or is not known to "
                "kft: nothing was run"
            )
    for file in graph.assets:
        if file in ("", ".", "..") or "/" in file or "\\" in file or "\0" in file:
            reasons.append(f"the asset {shown(file)} is outside the version: nothing was run")
    if size > _MOST_CONSTANTS:
        reasons.append(
            f"its constants take {size:,} bytes, more than {_MOST_CONSTANTS:,}: nothing was run"
        )
    return sorted(set(reasons))


def shown(text: str, most: int = 80) -> str:
    """Return an untrusted text in a form that is safe for a terminal."""
    cut = text if len(text) <= most else f"{text[:most]}..."
    return cut if cut.isprintable() else repr(cut)


def _served(graph: Graph) -> Iterator[str]:
    """Yield what runs for a request, and at loading except for restoring variables."""
    for signature in graph.signatures.values():
        yield from (tensor.name for tensor in signature.outputs.values())
    yield from graph.run_when_loaded


def _restoring(graph: Graph) -> set[tuple[str, str]]:
    """Return the nodes that read variables from the files of this version.

    Loading calls one function with the name of those files; only a `RestoreV2` in it that uses this
    name is allowed.
    """
    call = graph.nodes.get(graph.saver.restore_op_name)
    if call is None or call.op != "StatefulPartitionedCall":
        return set()
    filename = graph.saver.filename_tensor_name.partition(":")[0]
    function = graph.functions.get(call.attr["f"].func.name)
    if function is None:
        return set()
    named = {
        argument.name
        for argument, given in zip(function.signature.input_arg, call.input, strict=False)
        if given.partition(":")[0] == filename
    }
    return {
        (function.signature.name, node.name)
        for node in function.node_def
        if node.op == "RestoreV2" and node.input and node.input[0] in named
    }


def _bytes(node: Any) -> int:
    """Return how much memory the constants of a node need, whatever their size in the file."""
    return sum(
        8 * math.prod(max(0, dimension.size) for dimension in value.tensor.tensor_shape.dim)
        for value in node.attr.values()
        if value.WhichOneof("value") == "tensor"
    )
