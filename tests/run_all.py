"""The one test command: lint, types, then every test on PyTorch, JAX and TensorFlow.

Each backend has its own processes, and so do the tests that do not depend on the backend. A process of each
of these jobs collects its tests, and forks others that run a part of them.

    python tests/run_all.py [--backend NAME ...] [pytest arguments]

It fails if a check fails, a test fails, or a backend did not run the tests that the others ran.
On success its last line is pytest's.
"""

import argparse
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
CHECKS = (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"])
BACKENDS = ("torch", "jax", "tensorflow")
# Jobs and their backends, in the order of their output. The last ones take longest and start first; two
# parts at a time share two cores.
JOBS = {"torch": "torch", "jax": "jax", "tensorflow": "tensorflow", "once": "torch"}
# Several processes share the tests of a job, so that the last of all end at about the same time. And Keras
# on TensorFlow never releases the graph of a traced training function, which is 17 GB for all tests.
PARTS = {"once": 4, "tensorflow": 3, "jax": 3, "torch": 3}
# The same devices on every machine; and such small models gain nothing from threads, and lose much if
# processes share cores.
DEVICES = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "JAX_PLATFORMS": "cpu",
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
}
# Compilation takes most of JAX's time on such small models. At the lowest level, without the fusion
# emitters, which compile through MLIR, and without LLVM's expensive passes, it takes half as long.
XLA_FLAGS = ("--xla_cpu_multi_thread_eigen=false", "--xla_backend_optimization_level=0")
QUICK_FLAGS = (
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_parallel_codegen_split_count=1",
)
MINUTES = 5  # between two lines of progress
PROGRESS = re.compile(r"(?:tests/\S+ )?(?P<dots>[.FEsxX]+) *\[ *(?P<percent>\d+)%\]")
NO_TESTS = 5  # pytest's exit code if no tests were collected


class Process(NamedTuple):
    """The process that runs a part of the tests of a job."""

    job: str
    part: int = 0
    parts: int = 1

    @property
    def file(self) -> str:
        """The name of its log and its summary, without the ending."""
        return f"{self.job}-{self.part}"

    def __str__(self) -> str:
        return self.job if self.parts == 1 else f"{self.job} {self.part + 1}/{self.parts}"


def main() -> int:
    from tests import warm

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("--backend", action="append", choices=BACKENDS, help="only this backend")
    chosen, pytest_arguments = parser.parse_known_args()
    backends = [name for name in BACKENDS if name in (chosen.backend or BACKENDS)]
    jobs = [name for name, backend in JOBS.items() if backend in backends]

    flags = (*XLA_FLAGS, *(QUICK_FLAGS if knows(QUICK_FLAGS) else ()))
    os.environ.update(DEVICES, XLA_FLAGS=" ".join(flags))
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        summaries = Path(folder)
        processes = processes_of(jobs, whole=bool(pytest_arguments))
        captured = len(processes) > 1
        servers = warm.servers()
        collected = {
            job: stack.enter_context(Job(job, summaries, pytest_arguments, servers, captured))
            for job in reversed(jobs)
        }
        for tool in CHECKS:
            if not run_check(tool):
                return 1
        with ThreadPoolExecutor(max_workers=2) as pool:
            running = {
                process: pool.submit(collected[process.job].run, process)
                for process in sorted(processes, key=lambda one: -jobs.index(one.job))
            }
            print(f"pytest on {', '.join(map(str, running))}: shown at the end ...", flush=True)
            while wait(running.values(), timeout=MINUTES * 60).not_done:
                print(how_far(running, summaries), flush=True)
        for job in jobs if captured else ():
            print(f"\n=== {job} ===\n{collected[job].output()}", flush=True)
        *others, last = processes
        for process in others:
            print(f"\n=== {process} ===\n{output_of(process, summaries)}", flush=True)
        print(f"\n=== all ===\n{table(jobs, summaries)}", flush=True)
        if others:
            print(f"\n=== {last} ===\n{output_of(last, summaries)}", end="", flush=True)
        ended = {process: future.result() for process, future in running.items()}
        if pytest_arguments:  # a selection may leave a process without tests
            processes = [one for one in processes if ended[one] != NO_TESTS] or processes
        problems = [
            f"{one}: pytest ended with exit code {ended[one]}" for one in processes if ended[one]
        ]
        problems += compare(processes, summaries)
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


def knows(flags: Iterable[str]) -> bool:
    """Return whether the installed JAX knows flags of XLA, which ends a process at an unknown one."""
    environment = os.environ | {"XLA_FLAGS": " ".join(flags), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", "import jax; jax.devices()"]
    done = subprocess.run(command, env=environment, check=False, stderr=subprocess.DEVNULL)
    if done.returncode:
        print(f"this JAX does not know {' '.join(flags)}: its tests take twice as long", flush=True)
    return done.returncode == 0


def processes_of(jobs: list[str], *, whole: bool) -> list[Process]:
    """Return the processes of jobs in the order of their output.

    Args:
        jobs: The jobs.
        whole: Whether each job has a single process.
    """
    parts = {job: 1 if whole else PARTS.get(job, 1) for job in jobs}
    return [Process(job, part, parts[job]) for job in jobs for part in range(parts[job])]


class Job:
    """The process that collects the tests of a job and forks others, each of which runs a part.

    Args:
        name: The name of the job.
        summaries: The folder for the logs and summaries of its processes.
        arguments: Arguments of pytest.
        servers: The addresses of the servers of `tests/warm.py`.
        captured: Whether its output goes to files.
    """

    def __init__(
        self,
        name: str,
        summaries: Path,
        arguments: list[str],
        servers: dict[str, str],
        captured: bool = True,
    ) -> None:
        self._summaries, self._captured = summaries, captured
        self._log = summaries / f"{name}.log"
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = os.environ | {
            "KERAS_BACKEND": JOBS[name],
            "KFT_TEST_JOB": name,
            "KFT_TEST_REQUESTS": str(theirs.fileno()),
            "KFT_TEST_SERVERS": json.dumps(servers),
            "KFT_TEST_SUMMARIES": str(summaries),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            # Compile each program once.
            "JAX_COMPILATION_CACHE_DIR": str(summaries / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
        command = [sys.executable, "-m", "pytest", *arguments]
        with theirs, open(self._log, "wb") as log:
            stream = log if captured else None
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdout=stream,
                stderr=stream,
                pass_fds=[theirs.fileno()],
            )

    def __enter__(self) -> "Job":
        return self

    def __exit__(self, *exception: object) -> None:
        self._requests.close()
        self._process.kill()
        self._process.wait()

    def run(self, process: Process) -> int:
        """Run a part of the tests, and return pytest's exit code."""
        log = str(self._summaries / f"{process.file}.log") if self._captured else None
        request = {"part": process.part, "parts": process.parts, "log": log}
        answers, theirs = os.pipe()
        with open(answers) as stream:
            try:
                socket.send_fds(self._requests, [json.dumps(request).encode()], [theirs])
            except ConnectionError:
                pass  # collecting has failed
            finally:
                os.close(theirs)
            answer = stream.read()
        return int(answer) if answer else self._process.wait() or 1

    def output(self) -> str:
        """Return what pytest printed while it collected the tests."""
        return self._log.read_text(errors="replace")


def output_of(process: Process, summaries: Path) -> str:
    """Return the output of a process so far."""
    path = summaries / f"{process.file}.log"
    return path.read_text(errors="replace") if path.exists() else ""


def how_far(processes: Iterable[Process], summaries: Path) -> str:
    """Return a line with the percentage of finished tests and the failures of each process."""
    shares = []
    for process in processes:
        lines = output_of(process, summaries).splitlines()
        marks = [PROGRESS.fullmatch(line) for line in lines]
        done = [mark["percent"] for mark in marks if mark]
        failed = sum(mark["dots"].count("F") + mark["dots"].count("E") for mark in marks if mark)
        failures = f", {failed} failed" if failed else ""
        shares.append(f"{process} {done[-1] if done else 0} %{failures}")
    return f"{time.strftime('%H:%M')}: {'; '.join(shares)}"


def summary_of(job: str, summaries: Path) -> dict[str, Any]:
    """Return the summary of a job: the sums and joined lists of those of its processes."""
    total: dict[str, Any] = {"passed": 0, "failed": 0, "skipped": 0, "shared": []}
    for path in sorted(summaries.glob(f"{job}-*.json")):
        summary = json.loads(path.read_text())
        total = {name: value + summary[name] for name, value in total.items()}
    return total


def table(jobs: list[str], summaries: Path) -> str:
    """Return a table of the summaries of all jobs."""
    lines = []
    for job in jobs:
        summary = summary_of(job, summaries)
        counts = ", ".join(f"{summary[key]} {key}" for key in ("passed", "failed", "skipped"))
        lines.append(f"{job}: {counts}")
    return "\n".join(lines)


def compare(processes: list[Process], summaries: Path) -> list[str]:
    """Return the problems in the summaries, such as tests that ran on another backend only."""
    problems = []
    shared: dict[str, set[str]] = {}
    for process in processes:
        if not (summaries / f"{process.file}.json").exists():
            problems.append(f"{process}: wrote no summary, so it ran no tests")
    for job in dict.fromkeys(process.job for process in processes):
        if not any(summaries.glob(f"{job}-*.json")):
            continue
        summary = summary_of(job, summaries)
        if job in BACKENDS:
            shared[job] = set(summary["shared"])
        if not summary["passed"]:
            problems.append(f"{job}: no test passed")
    everywhere = set().union(*shared.values())
    for job, tests in shared.items():
        missing = sorted(everywhere - tests)
        if missing:
            listed = ", ".join(missing[:5])
            problems.append(f"{job}: {len(missing)} tests ran on another backend only: {listed}")
    return problems


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
