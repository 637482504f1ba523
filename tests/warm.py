"""Processes of exports that start with their imports done, forked from one that has done them.

Importing TensorFlow and Keras takes longer than exporting a tiny model. The server, `python -P
tests/warm.py SOCKET`, has computed nothing when it forks. The normal start of `python -m kft.export` is
tested by the notebooks and by README's Python, which run in separate processes.
"""

import atexit
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
IMPORTED = ("kft.export.command", "kft.export.saved_model", "kft.family.merging", "keras_hub")
_started: list[tuple[str, tempfile.TemporaryDirectory]] = []


class Exports:
    """A replacement of `subprocess` in `kft.export.launch`: exports start with their imports done."""

    PIPE, DEVNULL = subprocess.PIPE, subprocess.DEVNULL
    TimeoutExpired = subprocess.TimeoutExpired

    @staticmethod
    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess:
        """Run a command; checks start normally, since they must run without TensorFlow."""
        if command[1:4] != ["-P", "-m", "kft.export"]:
            return subprocess.run(command, **options)
        message = {"arguments": command[4:], "env": options["env"], "cwd": os.getcwd()}
        with tempfile.TemporaryFile() as said, open(os.devnull) as nothing, _connected() as server:
            streams = [nothing.fileno(), said.fileno(), options["stderr"].fileno()]
            socket.send_fds(server, [json.dumps(message).encode() + b"\n"], streams)
            code = server.recv(64)
            assert code, "the server of tests/warm.py has ended"
            said.seek(0)
            return subprocess.CompletedProcess(command, int(code), said.read())


def _connected() -> socket.socket:
    """Return a connection to this process' server, which the first call starts."""
    if not _started:
        folder = tempfile.TemporaryDirectory(prefix="kft-warm-")
        address = os.path.join(folder.name, "socket")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(address)
            listening.listen()
            variables = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
            server = subprocess.Popen(
                [sys.executable, "-P", __file__, str(listening.fileno())],
                pass_fds=[listening.fileno()],
                env={**os.environ, **variables, "PYTHONPATH": str(ROOT)},
            )
        atexit.register(server.kill)
        _started.append((address, folder))
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(_started[0][0])
    return connection


def serve(number: int) -> None:
    """Fork a process per connection, and answer with its exit code."""
    for name in IMPORTED:
        import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # leave no zombies
    listening = socket.socket(fileno=number)
    while True:
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _answer(connection)
            os._exit(0)
        connection.close()


def _answer(connection: socket.socket) -> None:
    data, numbers, _, _ = socket.recv_fds(connection, 2**20, 3)
    while not data.endswith(b"\n"):
        data += connection.recv(2**20)
    worker = os.fork()
    if worker == 0:
        connection.close()
        for stream, number in enumerate(numbers):
            os.dup2(number, stream)
        os._exit(_run(**json.loads(data)))
    _, status = os.waitpid(worker, 0)
    connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def _run(arguments: list[str], env: dict[str, str], cwd: str) -> int:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["kft.export", *arguments]
    named = [entry for entry in env.get("PYTHONPATH", "").split(os.pathsep) if entry]
    sys.path[:] = [*named, *(entry for entry in sys.path if entry not in (*named, str(ROOT)))]
    try:
        runpy.run_module("kft.export", run_name="__main__", alter_sys=True)
        code: object = 0
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
