"""The one test command: lint, types, then every test on PyTorch, JAX and TensorFlow.

Each backend has its own process, and so do the tests that do not depend on the backend.

    python tests/run_all.py [--backend NAME ...] [pytest arguments]

It fails if a check fails, a test fails, or a backend did not run the tests that the others ran.
On success its last line is pytest's.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

ROOT = Path(__file__).parent.parent
BACKENDS = ("torch", "jax", "tensorflow")
# Processes and their backends, in the order of their output. The last ones take longest and start
# first; two at a time share two cores.
JOBS = {"torch": "torch", "jax": "jax", "tensorflow": "tensorflow", "once": "torch"}
# Keras on TensorFlow never releases the graph of a traced training function, which is 17 GB for all tests:
# as many processes, one after the other, share its tests.
PARTS = {"tensorflow": 3}
MINUTES = 5  # between two lines of progress
PROGRESS = re.compile(r"(?:tests/\S+ )?(?P<dots>[.FEsxX]+) *\[ *(?P<percent>\d+)%\]")
NO_TESTS = 5  # pytest's exit code if no tests were collected


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("--backend", action="append", choices=BACKENDS, help="only this backend")
    chosen, pytest_arguments = parser.parse_known_args()
    backends = [name for name in BACKENDS if name in (chosen.backend or BACKENDS)]
    jobs = [name for name, backend in JOBS.items() if backend in backends]

    for tool in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]):
        if not run_check(tool):
            return 1

    with tempfile.TemporaryDirectory() as folder:
        summaries = Path(folder)
        with ThreadPoolExecutor(max_workers=2) as pool:
            running = {
                name: pool.submit(run_job, name, summaries, pytest_arguments, capture=len(jobs) > 1)
                for name in reversed(jobs)
            }
            print(f"pytest on {', '.join(running)}: shown as each ends ...", flush=True)
            while wait(running.values(), timeout=MINUTES * 60).not_done:
                print(how_far(running, summaries), flush=True)
            *others, last = jobs
            for name in others:
                print(f"\n=== {name} ===\n{output_of(name, summaries)}", flush=True)
        ended = {name: future.result() for name, future in running.items()}
        print(f"\n=== all ===\n{table(jobs, summaries)}", flush=True)
        if len(jobs) > 1:
            print(f"\n=== {last} ===\n{output_of(last, summaries)}", end="", flush=True)
        if pytest_arguments:  # a selection may leave a process without tests
            jobs = [name for name in jobs if ended[name] != NO_TESTS] or jobs
        problems = [
            f"{name}: pytest ended with exit code {ended[name]}" for name in jobs if ended[name]
        ]
        problems += compare(jobs, summaries)
    for problem in problems:
        print(f"run_all: {problem}", file=sys.stderr)
    return 1 if problems else 0


def run_check(tool: list[str]) -> bool:
    """Run a checker on the checkout, and print how long it took."""
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-m", *tool], cwd=ROOT, check=False)
    print(
        f"{' '.join(tool)}: exit {done.returncode}, {time.monotonic() - started:.0f} s", flush=True
    )
    return done.returncode == 0


def run_job(name: str, summaries: Path, arguments: list[str], capture: bool = True) -> int:
    """Run pytest in a separate process, on a backend or for the tests that need none."""
    environment = os.environ | {
        "KERAS_BACKEND": JOBS[name],
        "KFT_TEST_JOB": name,
        "KFT_TEST_SUMMARIES": str(summaries),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "CUDA_VISIBLE_DEVICES": "-1",  # the same devices on every machine
        "JAX_PLATFORMS": "cpu",
        # Such small models gain nothing from threads, and lose much if processes share cores.
        "OMP_NUM_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        # Compilation takes most of JAX's time here, so optimize less and compile each program once.
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false --xla_backend_optimization_level=0",
        "JAX_COMPILATION_CACHE_DIR": str(summaries / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    command = [sys.executable, "-m", "pytest", *arguments]
    parts, codes = PARTS.get(name, 1), []
    with open(summaries / f"{name}.log", "wb") as log:
        stream = log if capture else None
        for part in range(parts):
            own = environment | {"KFT_TEST_PART": f"{part}/{parts}"}
            done = subprocess.run(
                command, cwd=ROOT, env=own, check=False, stdout=stream, stderr=stream
            )
            codes.append(done.returncode)
    return next((code for code in codes if code not in (0, NO_TESTS)), min(codes))


def output_of(name: str, summaries: Path) -> str:
    """Return the output of a process so far."""
    path = summaries / f"{name}.log"
    return path.read_text(errors="replace") if path.exists() else ""


def how_far(names: Iterable[str], summaries: Path) -> str:
    """Return a line with the percentage of finished tests and the failures of each process."""
    said = []
    for name in names:
        lines = output_of(name, summaries).splitlines()
        marks = [PROGRESS.fullmatch(line) for line in lines]
        done = [mark["percent"] for mark in marks if mark]
        failed = sum(mark["dots"].count("F") + mark["dots"].count("E") for mark in marks if mark)
        said.append(
            f"{name} {done[-1] if done else 0} %" + (f", {failed} failed" if failed else "")
        )
    return f"{time.strftime('%H:%M')}: {'; '.join(said)}"


def table(jobs: list[str], summaries: Path) -> str:
    """Return a table of the summaries of all processes."""
    lines = []
    for name in jobs:
        path = summaries / f"{name}.json"
        summary = json.loads(path.read_text()) if path.exists() else {}
        counts = ", ".join(f"{summary.get(key)} {key}" for key in ("passed", "failed", "skipped"))
        lines.append(f"{name}: {counts}")
    return "\n".join(lines)


def compare(jobs: list[str], summaries: Path) -> list[str]:
    """Return the problems in the summaries, such as tests that ran on another backend only."""
    problems = []
    shared: dict[str, set[str]] = {}
    for name in jobs:
        path = summaries / f"{name}.json"
        if not path.exists():
            problems.append(f"{name}: wrote no summary, so it ran no tests")
            continue
        summary = json.loads(path.read_text())
        if name in BACKENDS:
            shared[name] = set(summary["shared"])
        if not summary["passed"]:
            problems.append(f"{name}: no test passed")
    everywhere = set().union(*shared.values())
    for name, tests in shared.items():
        missing = sorted(everywhere - tests)
        if missing:
            listed = ", ".join(missing[:5])
            problems.append(f"{name}: {len(missing)} tests ran on another backend only: {listed}")
    return problems


if __name__ == "__main__":
    sys.exit(main())
