"""Processes of exports and their checks that start with their imports done, forked from servers.

Importing TensorFlow and Keras, or loading TensorFlow's library, takes longer than exporting or checking a
tiny model. A server, `python -P tests/warm.py MODULE SOCKET ...`, has computed nothing when it forks. That of
checks has not imported TensorFlow, and also runs other modules that need only TensorFlow's C API.

Exports and checks do not optimize graphs: for tiny models that takes longer than everything else. The
normal start of both modules, with optimization, is tested by the notebooks and by README's Python, which
run in separate processes; tests that ask an export of `tests/export/builds.py` run it optimized.
"""

import atexit
import functools
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
from typing import IO, Any

ROOT = Path(__file__).parent.parent
IMPORTED = {
    "kft.export": (
        "kft.export.command", "kft.export.saved_model", "kft.family.merging", "keras_hub",
    ),
    "kft.export.check": ("kft.export.check",),
}  # fmt: skip
ADDRESSES: dict[str, str] = {}  # of the servers by the modules that they run


class Exports:
    """A replacement of `subprocess` in `kft.export.launch`: modules start with their imports done."""

    PIPE, DEVNULL = subprocess.PIPE, subprocess.DEVNULL
    TimeoutExpired = subprocess.TimeoutExpired

    @staticmethod
    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess:
        """Run a command of `kft.export.launch` in a process of its server."""
        assert command[1:3] == ["-P", "-m"], command
        module, arguments = command[3], command[4:]
        return run(
            module, module, arguments, **{n: options[n] for n in ("env", "stderr", "timeout")}
        )


def run(
    server: str,
    module: str,
    arguments: list[str],
    *,
    env: dict[str, str],
    stderr: IO,
    timeout: float | None = None,
) -> subprocess.CompletedProcess:
    """Run a module in a process of a server, and return its exit code and what it printed."""
    message = {"module": module, "arguments": arguments, "env": env, "cwd": os.getcwd()}
    with (
        tempfile.TemporaryFile() as printed,
        open(os.devnull) as nothing,
        socket.socket(socket.AF_UNIX) as connection,
    ):
        connection.connect(servers()[server])
        streams = [nothing.fileno(), printed.fileno(), stderr.fileno()]
        socket.send_fds(connection, [json.dumps(message).encode() + b"\n"], streams)
        answers = connection.makefile("rb")
        pid = int(answers.readline())
        connection.settimeout(timeout)
        try:
            code = answers.readline()
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired([module, *arguments], timeout or 0) from None
        assert code, f"the server of {server} has ended"
        printed.seek(0)
        return subprocess.CompletedProcess([module, *arguments], int(code), printed.read())


@functools.cache
def servers() -> dict[str, str]:
    """Return the addresses of the servers, which the first call starts unless a parent has."""
    if ADDRESSES:
        return ADDRESSES
    folder = tempfile.TemporaryDirectory(prefix="kft-warm-")
    atexit.register(folder.cleanup)
    addresses = {module: os.path.join(folder.name, module) for module in IMPORTED}
    variables = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    for module, address in addresses.items():
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(address)
            listening.listen()
            others = [f"{name}={place}" for name, place in addresses.items()]
            server = subprocess.Popen(
                [sys.executable, "-P", __file__, module, str(listening.fileno()), *others],
                pass_fds=[listening.fileno()],
                env={**os.environ, **variables, "PYTHONPATH": str(ROOT)},
            )
        atexit.register(server.kill)
    return addresses


def serve(module: str, number: int) -> None:
    """Fork a process per connection, and answer with its exit code."""
    for name in IMPORTED[module]:
        import_module(name)
    if module == "kft.export.check":
        import_module("kft.export.protos").without_tensorflow()
        import_module("kft.export.capi").Runtime.get()
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
    connection.sendall(f"{worker}\n".encode())
    _, status = os.waitpid(worker, 0)
    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _run(module: str, arguments: list[str], env: dict[str, str], cwd: str) -> int:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = [module, *arguments]
    named = [entry for entry in env.get("PYTHONPATH", "").split(os.pathsep) if entry]
    sys.path[:] = [*named, *(entry for entry in sys.path if entry not in (*named, str(ROOT)))]
    import_module("kft.export.launch").subprocess = Exports
    _leave_graphs_unoptimized(module)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code: object = 0
    except SystemExit as ended:
        code = ended.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


def _leave_graphs_unoptimized(module: str) -> None:
    """Run the graphs of an export or of its check as they are."""
    if module == "kft.export":
        options = {"disable_meta_optimizer": True}
        import_module("tensorflow").config.optimizer.set_experimental_options(options)
    if module == "kft.export.check":
        protos = import_module("tensorflow.core.protobuf.config_pb2")
        config = protos.ConfigProto()
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        protos.ConfigProto = functools.partial(type(config), graph_options=config.graph_options)


if __name__ == "__main__":
    ADDRESSES.update(one.split("=", 1) for one in sys.argv[3:])
    serve(sys.argv[1], int(sys.argv[2]))
