"""Exporters that are killed at random while a poller loads versions as a server does.

    python benchmarks/export_kills.py --kills 200

Each exporter writes a real export, slowly enough to be killed, and gets SIGKILL at a random moment
within 1.3 times the duration of one. The poller lists the directory as fast as it can, takes every
name that parses as an integer, and runs the whole check on each. The exit code is 1 if a version that
it ever saw does not serve, or if a killed exporter's files survive the next one.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAMS = ROOT / "tests" / "export"  # the poller and the exporter that the tests use too


def main(kills: int, seed: int, version: Path | None) -> int:
    with tempfile.TemporaryDirectory() as folder:
        version = version or exported(Path(folder) / "made")
        begun = time.perf_counter()
        found = kill_beside_poller(version, Path(folder) / "base", kills, seed)
    found["seconds"] = round(time.perf_counter() - begun, 1)
    print(json.dumps(found))
    return int(bool(found["failing"] or found["left"]))


def exported(folder: Path) -> Path:
    """Return an export of a tiny image model, made by the program of the tests."""
    subprocess.run(
        [sys.executable, str(PROGRAMS / "builds.py"), str(folder), "image"],
        env=environment() | {"KERAS_BACKEND": "tensorflow"}, check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return folder / "image" / "1"


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "PYTHONPATH": path}


def kill_beside_poller(version: Path, base: Path, kills: int, seed: int = 0) -> dict:
    """Kill exporters of copies of a version; return what happened and what the poller saw."""
    from kft.export import versions

    base.mkdir()
    stop = base.with_name("stop")
    poller = subprocess.Popen(
        [sys.executable, str(PROGRAMS / "polling.py"), str(base), str(stop)],
        env=environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    command = [sys.executable, str(PROGRAMS / "exporting.py"), str(version), str(base)]
    chance, killed, started, longest = random.Random(seed), 0, 0, 0.1
    while killed < kills:
        exporter = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE)
        exporter.stdout.readline()  # wait until it begins
        started, begun = started + 1, time.monotonic()
        try:
            exporter.wait(timeout=chance.uniform(0, 1.3 * longest))
            longest = time.monotonic() - begun
        except subprocess.TimeoutExpired:
            exporter.send_signal(signal.SIGKILL)
            killed += exporter.wait() == -signal.SIGKILL
        exporter.stdout.close()
    stop.touch()
    seen = json.loads(poller.communicate(timeout=600)[0].splitlines()[-1])
    there = sorted(map(str, versions.find_versions(base)))
    for name in os.listdir(base):
        if versions.version_number(name) is None:  # `sweep` spares recent ones, which may be in use
            os.utime(base / name, (0, 0))
    versions.sweep(base)
    return {
        "exporters": started,
        "killed": killed,
        "polls": seen["polls"],
        "versions": len(there),
        "checked": len(seen["reasons"]),
        "missed": sorted(set(there) - set(seen["reasons"])),
        "failing": {name: reasons for name, reasons in seen["reasons"].items() if reasons},
        "left": [name for name in os.listdir(base) if versions.version_number(name) is None],
    }


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200, help="exporters to kill")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    parser.add_argument("--version", type=Path, help="a version that serves, instead of a tiny one")
    options = parser.parse_args()
    sys.exit(main(options.kills, options.seed, options.version))
