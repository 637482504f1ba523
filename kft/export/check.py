"""The check that a version serves, as a server would run it.

`python -m kft.export.check DIR` loads a version without Keras through TensorFlow's C API with XLA
disabled, and compares it with the promises in its metadata. Every failure is a sentence.
"""

import argparse
import json
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kft.export import capi, graphs, promises, protos, runtimes, versions, warmup
from kft.export.comparison import compare
from kft.export.dangers import dangers, shown
from kft.export.file_bounds import compare_files
from kft.export.promises import DTYPES, METADATA, METHODS, Promises, Signature
from kft.export.session import Session

_MANY = 3  # times all examples: a batch larger than any written one
_MOST_ROWS = 96
_MOST_REASONS, _LONGEST = 50, 600
_MEMORY, _MEMORY_PER_BYTE = 8 * 2**30, 8  # bytes for TensorFlow itself, and per byte of a version


def check(directory: str | os.PathLike) -> list[str]:
    """Return why a version does not serve, a sentence for each reason; empty if it serves.

    Its files must be those that were written, and its ops those of TensorFlow and TensorFlow Text that
    only compute: otherwise nothing of it is run. No op that a signature reaches may need compilation,
    change a variable or depend on chance; its signatures must be those promised. In batches of 1, 2
    and many it must answer as `recipe.predict` did, within the tolerance in its metadata, also to every
    warmup record. A version of another format must answer its golden inputs in that format's own
    runtime.

    Disables XLA for the whole process, so it is meant for a separate process.

    Args:
        directory: The version directory.
    """
    directory = Path(directory)
    if not os.path.isdir(directory):
        return [f"{directory} is not a directory"]
    reasons = compare_files(directory)
    if reasons:
        return reasons
    reasons = versions.compare_manifest(directory)
    if reasons and os.path.isfile(directory / versions.MANIFEST):
        return reasons  # damaged: loading it would only add confusing reasons
    kind = runtimes.kind_of(directory)
    if kind is not None:
        return [*reasons, *runtimes.replay(directory, kind)]
    promised, reason = _read_promises(directory)
    reasons += [reason] if reason else []
    try:
        graph = graphs.read(directory)
    except (OSError, ValueError) as error:
        return [*reasons, f"saved_model.pb cannot be read: {error}"]
    runtime = capi.Runtime.get()
    reasons += graphs.compare_ops(graph, runtime.core_ops, runtime.text_ops)
    unsafe = dangers(graph, runtime.core_ops, runtime.text_ops)
    if unsafe or promised is None:  # it must not run, or it is unknown what to request
        return [*reasons, *unsafe]
    reasons += compare_signatures(graph.signatures, promised.signatures)
    try:
        session = Session(directory)
    except capi.TensorFlowError as error:
        return [*reasons, f"the server cannot load it: {str(error).splitlines()[0]}"]
    with session:
        return [*reasons, *replay(session, directory, promised)]


def _read_promises(directory: Path) -> tuple[Promises | None, str | None]:
    try:
        return promises.read(directory), None
    except FileNotFoundError:
        return None, f"{METADATA} is missing, so it is unknown what the version promises"
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        return None, f"{METADATA} cannot be read: {error!r}"


def compare_signatures(found: dict[str, Any], promised: dict[str, Signature]) -> list[str]:
    """Return how signatures differ from the promised ones.

    Args:
        found: Name to `SignatureDef`.
        promised: Name to `Signature`.
    """
    reasons = [
        f"signature {name!r} was not promised"
        for name in sorted(set(found) - set(promised) - {"__saved_model_init_op"})
    ]
    for name, promise in sorted(promised.items()):
        if name not in found:
            reasons.append(f"signature {name!r} is missing")
            continue
        definition, expected = found[name], METHODS + promise.api
        if definition.method_name != expected:
            reasons.append(
                f"signature {name!r} is of the API {definition.method_name!r}, not {expected!r}"
            )
        for kind, tensors, wanted in (
            ("input", definition.inputs, promise.inputs),
            ("output", definition.outputs, promise.outputs),
        ):
            if set(tensors) != set(wanted):
                names = sorted(tensors), sorted(wanted)
                reasons.append(f"signature {name!r} has the {kind}s {names[0]}, not {names[1]}")
            for key in sorted(set(tensors) & set(wanted)):
                shape = tensors[key].tensor_shape
                sizes = [dimension.size for dimension in shape.dim]
                where = f"{kind} {key!r} of signature {name!r}"
                if tensors[key].dtype != DTYPES[wanted[key].dtype]:
                    reasons.append(f"{where} is not of the type {wanted[key].dtype}")
                if shape.unknown_rank or len(sizes) != wanted[key].rank:
                    reasons.append(f"{where} has the shape {sizes}, not {wanted[key].rank} axes")
                elif sizes[0] != -1:
                    reasons.append(f"{where} has the fixed batch size {sizes[0]}")
    return reasons


def replay(session: Session, directory: str | os.PathLike, promised: Promises) -> list[str]:
    """Run every warmup record, and its inputs in other batches; return what went wrong.

    Args:
        session: The loaded version.
        directory: The directory of its records.
        promised: The signatures, and the tolerance of answers.
    """
    reasons: list[str] = []
    golden: dict[tuple[Any, ...], dict[str, np.ndarray]] = {}
    names = sorted(promised.signatures["serving_default"].inputs)

    def ask(signature: str, inputs: dict, expected: dict, where: str) -> None:
        try:
            answered = session.run(signature, inputs)
        except capi.TensorFlowError as error:
            reasons.append(f"{where} fails at {signature!r}: {str(error).splitlines()[0][:300]}")
            return
        promise = promised.signatures.get(signature)
        if promise is None:
            reasons.append(f"{where} asks {signature!r}, which was not promised")
            return
        reason = compare(expected, answered, promise.answers, promised.tolerance)
        if reason:
            reasons.append(f"{where} at {signature!r}: {reason}")

    try:
        for count, log in enumerate(warmup.read(directory), start=1):
            if count > warmup.MAX_RECORDS:
                reasons.append(f"more than {warmup.MAX_RECORDS} warmup records: a server refuses")
                break
            signature, inputs, expected = warmup.read_log(log)
            ask(signature, inputs, expected, f"warmup record {count}")
            if signature == "serving_default" and sorted(inputs) == names:
                _collect(golden, inputs, expected)
    except FileNotFoundError:
        reasons.append(f"{warmup.PATH} is missing")
    except (OSError, ValueError, LookupError, IndexError) as error:
        reasons.append(f"{warmup.PATH} cannot be read: {error}")
    if not golden:
        return [*reasons, f"{warmup.PATH} holds no request for 'serving_default' to compare with"]
    raw, rows = list(golden), list(golden.values())
    for batch in _batches(len(raw)):
        columns = zip(*(raw[i] for i in batch), strict=True)
        inputs = {n: np.array(one, dtype=object) for n, one in zip(names, columns, strict=True)}
        try:
            expected = {name: np.concatenate([rows[i][name] for i in batch]) for name in rows[0]}
        except (ValueError, LookupError) as error:
            return [*reasons, f"{warmup.PATH} holds answers of different shapes: {error}"]
        ask("serving_default", inputs, expected, f"a batch of {len(batch)}")
    return reasons


def _collect(golden: dict, inputs: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for i, row in enumerate(zip(*inputs.values(), strict=True)):
        raw = tuple(tuple(one) if isinstance(one, np.ndarray) else one for one in row)
        golden.setdefault(raw, {name: value[i : i + 1] for name, value in expected.items()})


def _batches(count: int) -> Iterator[list[int]]:
    yield from ([i] for i in range(count))
    yield from ([i, (i + 1) % count] for i in range(0, count, 2))
    yield (list(range(count)) * _MANY)[: max(count, _MOST_ROWS)]


def limit(directories: list[str]) -> None:
    """Limit the resources of this process, so that a version that exceeds them ends only this process.

    Args:
        directories: The versions to load.
    """
    size = sum(
        os.lstat(os.path.join(folder, name)).st_size
        for directory in directories
        for folder, _, names in os.walk(directory)
        for name in names
    )
    bounds = {
        resource.RLIMIT_DATA: _MEMORY + _MEMORY_PER_BYTE * size,
        resource.RLIMIT_FSIZE: 2**20,  # it writes only messages
        resource.RLIMIT_CORE: 0,
    }
    for kind, bound in bounds.items():
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (bound if hard < 0 else min(bound, hard), hard))


def main(arguments: list[str] | None = None) -> int:
    """Check each of the directories; return 0 if all serve, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m kft.export.check", description=check.__doc__)
    parser.add_argument("directories", nargs="+", metavar="DIR", help="a version directory")
    parser.add_argument("--json", action="store_true", help="print one line of JSON for each")
    parser.add_argument(
        "--limited",
        action="store_true",
        help="take no more memory than a version of its size needs",
    )
    options = parser.parse_args(arguments)
    if options.limited:
        limit(options.directories)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    protos.without_tensorflow()
    failed = False
    for directory in options.directories:
        found = check(directory)
        reasons = [shown(reason, _LONGEST) for reason in found[:_MOST_REASONS]]
        if len(found) > _MOST_REASONS:
            reasons.append(f"and {len(found) - _MOST_REASONS:,} reasons more")
        failed = failed or bool(reasons)
        if options.json:
            print(json.dumps({"directory": directory, "reasons": reasons}))
        else:
            print(f"{directory} {'does not serve:' if reasons else 'serves.'}")
            for reason in reasons:
                print(f"- {reason}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
