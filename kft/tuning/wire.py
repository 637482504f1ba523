"""KerasTuner's own protocol between chief and workers."""

from __future__ import annotations

import os
import socket
from concurrent import futures
from typing import Any

from kft.errors import InputError
from kft.tuning.roles import ORACLE_IP, ORACLE_PORT, Role


def serve(oracle: Any, role: Role) -> tuple[Any, int]:
    """Answer workers' requests with an oracle's methods, in a thread.

    The classes are KerasTuner's (1.4.8), which shows them under private names only; its own
    `start_server` around them waits for ever for a worker that has died.

    Args:
        oracle: has the methods of a `keras_tuner.Oracle`.
        role: where to listen.

    Returns:
        The running gRPC server, and its port.

    Raises:
        InputError: the port is taken, or the address is not this machine's.
    """
    import grpc
    from keras_tuner.src import protos
    from keras_tuner.src.distribute.oracle_chief import OracleServicer

    # One thread: what the journal notes is then the order in which the oracle was asked.
    pool = futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="kft-chief")
    server = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
    protos.get_service_grpc().add_OracleServicer_to_server(OracleServicer(oracle), server)
    try:
        port = server.add_insecure_port(f"{role.host}:{role.port}")
    except RuntimeError:
        port = 0
    if not port:
        raise InputError(
            f"the chief cannot listen at {role.host}:{role.port}: the port is taken, or the address "
            f"is none of this machine's; set another {ORACLE_PORT}."
        )
    server.start()
    return server, port


def client(oracle: Any, role: Role) -> Any:
    """What a worker asks in place of its own oracle; KerasTuner's (1.4.8), under a private name."""
    from keras_tuner.src.distribute.oracle_client import OracleClient

    os.environ.update({ORACLE_IP: role.host, ORACLE_PORT: str(role.port)})
    return OracleClient(oracle)


def answers(role: Role, timeout: float = 2.0) -> bool:
    """Whether somebody listens where the chief should."""
    try:
        with socket.create_connection((role.host, role.port), timeout):
            return True
    except OSError:
        return False
