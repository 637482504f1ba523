"""Hostile versions: none of their code runs, and the check ends with a reason."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes import HERE, run

from kft.export import check_version, launch, versions, warmup

pytestmark = pytest.mark.once


@pytest.fixture
def version(made, tmp_path) -> Path:
    return Path(shutil.copytree(made("text"), tmp_path / "text" / "1"))


def change_graph(version: Path, change) -> None:
    """Change a version's `MetaGraphDef` by a function, and update the manifest."""
    from tensorflow.core.protobuf import saved_model_pb2

    path = version / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    change(saved.meta_graphs[0])
    path.write_bytes(saved.SerializeToString())
    versions.write_manifest(version)


def add_node(nodes, name: str, op: str, *inputs: str, **attributes):
    node = nodes.add(name=name, op=op, input=inputs)
    for key, value in attributes.items():
        node.attr[key].CopyFrom(value)
    return node


def constant(nodes, name: str, text: bytes) -> None:
    from tensorflow.core.framework import attr_value_pb2

    node = add_node(nodes, name, "Const", dtype=attr_value_pb2.AttrValue(type=7))
    node.attr["value"].tensor.dtype = 7
    node.attr["value"].tensor.tensor_shape.SetInParent()
    node.attr["value"].tensor.string_val.append(text)


def write_when_loaded(meta, target: Path) -> None:
    nodes = meta.graph_def.node
    constant(nodes, "target", os.fsencode(target))
    constant(nodes, "content", b"written")
    add_node(nodes, "planted", "WriteFile", "target", "content")
    meta.collection_def["saved_model_main_op"].node_list.value[:] = ["planted"]
    meta.signature_def["__saved_model_init_op"].outputs["__saved_model_init_op"].name = "planted"


LOAD = """
import sys
from kft.export import protos
from kft.export.session import Session
protos.without_tensorflow()
Session(sys.argv[1])
"""


def test_a_file_written_when_loaded_is_not_written(version, tmp_path):
    """Loading the version writes the file; checking must not."""
    target = tmp_path / "target"
    change_graph(version, lambda meta: write_when_loaded(meta, target))
    reasons = check_version(version)
    assert "the op WriteFile may reach files, processes or code" in " ".join(reasons)
    assert "nothing was run" in " ".join(reasons)
    assert not target.exists()
    run("-c", LOAD, str(version))
    assert target.read_text() == "written"


_NAMES = """
Abort CacheDataset CollectiveReduceV2 DatasetFromGraph DebugIdentity DecodeProtoV2 EagerPyFunc
EncodeProto FIFOQueueV2 FixedLengthRecordDatasetV2 GenerateVocabRemapping ImmutableConst
InitializeTableFromTextFileV2 IteratorV2 LMDBDataset LoadAndRemapMatrix MatchingFiles
MergeV2Checkpoints PrintV2 PyFunc PyFuncStateless ReadFile RecordInput RegisterDatasetV2 RemoteCall
RestoreV2 RewriteDataset RpcCall SaveV2 ShardedFilename SleepDataset SnapshotDatasetV2 SqlDataset
SymbolicGradient TFRecordDatasetV2 TextLineDataset WholeFileReaderV2 WriteFile WriteSummary
XlaLaunch _Recv
"""
OPS = _NAMES.split()


def in_the_graph(meta, op: str) -> None:
    add_node(meta.graph_def.node, "planted", op)


def in_a_function(meta, op: str) -> None:
    add_node(meta.graph_def.library.function[0].node_def, "planted", op)


def behind_the_initialiser(meta, op: str) -> None:
    """Plant an op in a function called when variables are restored, where some ops are allowed."""
    library = meta.graph_def.library
    inner = library.function.add()
    inner.signature.name = "inner"
    add_node(inner.node_def, "planted", op, "file_prefix")
    restore = next(f for f in library.function if "traced_restore" in f.signature.name)
    call = add_node(restore.node_def, "call", "StatefulPartitionedCall")
    call.attr["f"].func.name = "inner"


def as_a_function(meta, op: str) -> None:
    """Add a function with the name of the op; the op of that name takes precedence."""
    meta.graph_def.library.function.add().signature.name = op
    in_the_graph(meta, op)


def reasons_for(changes: list[Path]) -> dict[str, list[str]]:
    """Check many versions in one process, in a tenth of the time."""
    command = ["-m", "kft.export.check", "--json", "--limited", *map(str, changes)]
    path = os.pathsep.join([str(HERE.parents[1]), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(outcomes) == len(changes), done.stderr[-2000:]
    return {outcome["directory"]: outcome["reasons"] for outcome in outcomes}


@pytest.mark.parametrize(
    "where", [in_the_graph, in_a_function, behind_the_initialiser, as_a_function]
)
def test_no_op_that_could_do_more_than_compute_is_run(made, tmp_path, where):
    saver = {"SaveV2", "MergeV2Checkpoints", "ShardedFilename"}
    ops = [op for op in OPS if where is behind_the_initialiser or op not in saver]
    copies = {}
    for op in ops:
        copies[op] = Path(shutil.copytree(made("text"), tmp_path / op))
        change_graph(copies[op], lambda meta, op=op: where(meta, op))
    found = reasons_for(list(copies.values()))
    for op, copy in copies.items():
        said = " ".join(found[str(copy)])
        assert f"the op {op} may reach files, processes or code" in said, op
        assert "cannot load" not in said, op


def restore_elsewhere(meta) -> None:
    """Read variables from outside of the version."""
    restore = next(
        f for f in meta.graph_def.library.function if "traced_restore" in f.signature.name
    )
    constant(restore.node_def, "elsewhere", b"/etc/other")
    node = next(node for node in restore.node_def if node.op == "RestoreV2")
    node.input[0] = "elsewhere:output:0"


def restore_for_a_request(meta) -> None:
    """Make a signature call the op that restores variables, under another name."""
    call = next(node for node in meta.graph_def.node if node.name == meta.saver_def.restore_op_name)
    other = meta.graph_def.node.add()
    other.CopyFrom(call)
    other.name = "other"
    signature = meta.signature_def["embed"].outputs["status"]
    signature.name = "other:0"


def asset(name: str):
    def change(meta) -> None:
        meta.asset_file_def.add(filename=name).tensor_info.name = "Const:0"

    return change


def large_constant(meta) -> None:
    """Add a constant of a few bytes that expands to a terabyte."""
    node = add_node(meta.graph_def.node, "planted", "Const")
    node.attr["dtype"].type = node.attr["value"].tensor.dtype = 1
    node.attr["value"].tensor.float_val.append(1.0)
    for size in (2**20, 2**18):
        node.attr["value"].tensor.tensor_shape.dim.add(size=size)


def name_for_the_terminal(meta) -> None:
    add_node(meta.graph_def.node, "planted", "\x1b[2Jgone" + "x" * 5000)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (restore_elsewhere, "the op RestoreV2 may reach files"),
        (restore_for_a_request, "the op RestoreV2 may reach files"),
        (asset("../../../etc/passwd"), "the asset ../../../etc/passwd is outside the version"),
        (asset("/etc/passwd"), "the asset /etc/passwd is outside the version"),
        (large_constant, "its constants take 2,199"),
        (lambda meta: meta.meta_info_def.tags.append("gpu"), "no graph with the tag 'serve'"),
    ],
)
def test_a_graph_that_would_do_harm_is_refused_unrun(version, change, reason):
    change_graph(version, change)
    said = " ".join(check_version(version))
    assert reason in said
    assert "differs" not in said


def test_names_that_are_no_names_are_shown_plainly(version):
    change_graph(version, name_for_the_terminal)
    reasons = check_version(version)
    assert reasons
    assert all(reason.isprintable() and len(reason) < 1000 for reason in reasons)


def sparse(path: Path, size: int) -> None:
    path.touch()
    os.truncate(path, size)


def link(version: Path) -> None:
    (version / "assets" / "passwd").symlink_to("/etc/passwd")


def pipe(version: Path) -> None:
    (version / warmup.PATH).unlink()
    os.mkfifo(version / warmup.PATH)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda v: sparse(v / "saved_model.pb", 2**31), "saved_model.pb has 2,147,483,648 bytes"),
        (lambda v: sparse(v / versions.MANIFEST, 2**31), "bytes, more than 16,777,216"),
        (lambda v: sparse(v / "assets.extra" / "kft.json", 2**31), "bytes, more than 16,777,216"),
        (lambda v: sparse(v / warmup.PATH, 2**40), "bytes, more than 1,073,741,824"),
        (link, "'assets/passwd' is a link"),
        (pipe, "is not a plain file"),
        (lambda v: (v / "saved_model.pbtxt").touch(), "would be loaded in place of"),
        (lambda v: (v / "saved_model.cpb").touch(), "would be loaded in place of"),
    ],
)
def test_files_that_should_not_be_opened_are_not(version, harm, reason):
    harm(version)
    assert reason in " ".join(check_version(version))


def many_values(version: Path) -> None:
    logs = list(warmup.read(version))
    tensor = logs[0].predict_log.response.outputs["scores"]
    tensor.Clear()
    tensor.dtype = 1
    tensor.float_val.append(1.0)
    for size in (2**20, 2**20):
        tensor.tensor_shape.dim.add(size=size)
    warmup.write(version, logs)


def deep_metadata(version: Path) -> None:
    (version / "assets.extra" / "kft.json").write_text("[" * 10**6)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (many_values, "a tensor of the shape [1048576, 1048576]"),
        (deep_metadata, "kft.json cannot be read"),
        (lambda v: (v / "assets.extra" / "kft.json").write_bytes(b"\xff"), "cannot be read"),
    ],
)
def test_records_that_claim_too_much_are_refused(version, harm, reason):
    harm(version)
    versions.write_manifest(version)
    assert reason in " ".join(check_version(version))


LIMITED = """
import sys
from kft.export import check
check.limit(sys.argv[1:])
try:
    bytearray(10 * 2**30)
except MemoryError:
    print("limited")
"""


def test_the_process_that_checks_is_limited_in_memory(version):
    assert run("-c", LIMITED, str(version)).stdout.strip() == "limited"


def never_ends(meta) -> None:
    """Add an endless loop that runs when the version is loaded."""
    library = meta.graph_def.library
    for name, kind in (("condition", 10), ("body", 3)):
        function = library.function.add()
        function.signature.name = name
        function.signature.input_arg.add(name="x", type=3)
        function.signature.output_arg.add(name="y", type=kind)
    condition, body = library.function[-2:]
    node = add_node(condition.node_def, "true", "Const")
    node.attr["dtype"].type = node.attr["value"].tensor.dtype = 10
    node.attr["value"].tensor.tensor_shape.SetInParent()
    node.attr["value"].tensor.bool_val.append(True)
    condition.ret["y"] = "true:output:0"
    body.ret["y"] = "x"
    start = add_node(meta.graph_def.node, "start", "Const")
    start.attr["dtype"].type = start.attr["value"].tensor.dtype = 3
    start.attr["value"].tensor.tensor_shape.SetInParent()
    start.attr["value"].tensor.int_val.append(0)
    loop = add_node(meta.graph_def.node, "loop", "StatelessWhile", "start")
    loop.attr["T"].list.type.append(3)
    loop.attr["cond"].func.name, loop.attr["body"].func.name = "condition", "body"
    loop.attr["parallel_iterations"].i = 1
    meta.collection_def["saved_model_main_op"].node_list.value[:] = ["loop"]
    meta.signature_def["__saved_model_init_op"].outputs["__saved_model_init_op"].name = "loop"


def test_a_version_that_never_ends_is_ended(version, monkeypatch):
    monkeypatch.setattr(launch, "CHECK_SECONDS", 6.0)
    change_graph(version, never_ends)
    (reason,) = check_version(version)
    assert "took more than 6 s and was ended" in reason


def test_the_checks_own_limits_leave_room_for_what_serves(version):
    assert check_version(version) == []
