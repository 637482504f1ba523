"""A SavedModel's graph: its ops, and which of them a signature reaches."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NOT_SERVABLE = {
    "PyFunc": "calls Python, which a server does not have",
    "PyFuncStateless": "calls Python, which a server does not have",
    "EagerPyFunc": "calls Python, which a server does not have",
    "XlaCallModule": "needs XLA, which a server has off",
}
_STATE = re.compile(
    r"Assign(Add|Sub)?(VariableOp)?|Scatter(Nd)?(Add|Sub|Mul|Div|Min|Max|Update)"
    r"|Resource(Sparse)?(Apply|Scatter).*|LookupTable(Insert|Remove|Import).*"
)
_CHANCE = re.compile(
    r"Stateful(Uniform|StandardNormal|TruncatedNormal|RandomBinomial).*|Rng.*|Random(?!Dataset).*"
    r"|(Parameterized)?TruncatedNormal|Multinomial"
)
_RUN_WHEN_LOADED = ("saved_model_main_op", "saved_model_init_op", "legacy_init_op")
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})


@dataclass(frozen=True)
class Graph:
    """The serving graph of a SavedModel.

    Attributes:
        nodes: Name to `NodeDef`, for the graph itself.
        functions: Name to `FunctionDef`.
        signatures: Name to `SignatureDef`.
        saver: The `SaverDef`, which defines how variables are restored.
        run_when_loaded: The names of the nodes that a server runs when it loads the version.
        assets: The names of its asset files.
    """

    nodes: dict[str, Any]
    functions: dict[str, Any]
    signatures: dict[str, Any]
    saver: Any
    run_when_loaded: tuple[str, ...]
    assets: tuple[str, ...]


def read(directory: str | os.PathLike) -> Graph:
    """Read the graph whose only tag is `serve`.

    Args:
        directory: The version directory.

    Raises:
        OSError: If there is no `saved_model.pb`.
        ValueError: If it is not a SavedModel, or has no graph to serve.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    content = (Path(directory) / "saved_model.pb").read_bytes()
    try:
        saved = saved_model_pb2.SavedModel.FromString(content)
    except DecodeError as error:
        raise ValueError(str(error)) from error
    for meta in saved.meta_graphs:
        if set(meta.meta_info_def.tags) == {"serve"}:  # the one that a server chooses
            return Graph(
                {node.name: node for node in meta.graph_def.node},
                {f.signature.name: f for f in meta.graph_def.library.function},
                dict(meta.signature_def),
                meta.saver_def,
                tuple(
                    name
                    for collection in _RUN_WHEN_LOADED
                    for name in meta.collection_def[collection].node_list.value
                ),
                tuple(asset.filename for asset in meta.asset_file_def),
            )
    raise ValueError("it has no graph with the tag 'serve'")


def compare_ops(
    graph: Graph, core_ops: Iterable[str], text_ops: Iterable[str] = frozenset()
) -> list[str]:
    """Return why a server would refuse the ops of a graph or answer inconsistently, a sentence each.

    Args:
        graph: The graph of a version.
        core_ops: The ops that TensorFlow registers.
        text_ops: The ops that TensorFlow Text adds.
    """
    known = {*core_ops, *text_ops, *graph.functions}
    reasons = []
    for op in sorted({node.op for _, node in all_nodes(graph)}):
        if op in _NOT_SERVABLE:
            reasons.append(f"the op {op} {_NOT_SERVABLE[op]}")
        elif op.startswith(("Xla", "_Xla")):
            reasons.append(f"the op {op} needs XLA, which a server has off")
        elif op not in known:
            reasons.append(f"the op {op} is neither TensorFlow's nor TensorFlow Text's")
    for name, signature in sorted(graph.signatures.items()):
        if name == "__saved_model_init_op":
            continue
        outputs = [tensor.name for tensor in signature.outputs.values()]
        reached = [node for _, node in reachable(graph, outputs)]
        for op in sorted({node.op for node in reached}):
            if _STATE.fullmatch(op):
                reasons.append(f"signature {name!r} reaches {op}: a request would change the model")
            elif _CHANCE.fullmatch(op):
                reasons.append(f"signature {name!r} reaches {op}: its answers depend on chance")
        if any(_must_compile(node) for node in reached):
            reasons.append(f"signature {name!r} must be compiled by XLA, which a server has off")
    return reasons


def reachable(graph: Graph, tensors: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Yield the nodes that must run for some tensors, and those of all functions they call.

    Args:
        graph: The graph of a version.
        tensors: Names of tensors or nodes of the graph itself.

    Yields:
        The name of the function that contains a node, empty for the graph itself, and the node.
    """
    waiting, seen = [_node_name(tensor) for tensor in tensors], set()
    called: list[str] = []
    while waiting:
        name = waiting.pop()
        if name in seen or name not in graph.nodes:
            continue
        seen.add(name)
        node = graph.nodes[name]
        waiting += [_node_name(tensor) for tensor in node.input]
        called += _functions_of(node)
        yield "", node
    done: set[str] = set()
    while called:
        name = called.pop()
        if name in done or name not in graph.functions:
            continue
        done.add(name)
        for node in graph.functions[name].node_def:
            called += _functions_of(node)
            yield name, node


def all_nodes(graph: Graph) -> Iterator[tuple[str, Any]]:
    """Yield the nodes of a graph and its functions, called or not, in the form of `reachable`."""
    for node in graph.nodes.values():
        yield "", node
    for name, function in graph.functions.items():
        for node in function.node_def:
            yield name, node


def _node_name(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


def _functions_of(node: Any) -> list[str]:
    names = [node.op]
    for value in node.attr.values():
        kind = value.WhichOneof("value")
        if kind == "func":
            names.append(value.func.name)
        elif kind == "list":
            names += [function.name for function in value.list.func]
    return names


def _must_compile(node: Any) -> bool:
    return node.op in _CALLS and node.attr["_XlaMustCompile"].b
