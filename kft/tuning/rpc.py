"""The protocol between workers and the chief of a search: gRPC, JSON, and a shared secret.

A request is `code + challenge + content`. The chief issues each challenge once and accepts it once,
so that a request that was overheard cannot be replayed. The code is the HMAC of the rest under the
secret. The reply has a code of its own, which only the chief can compute, and only for this request.
An eavesdropper learns the contents, which are not encrypted, but not the secret.

Requests travel in the metadata of a call, which gRPC limits and reads by itself. For a message the
chief's only thread would have to wait, so that a stranger who sends none would block all workers.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import hmac
import json
import secrets
import socket
from collections.abc import Iterator
from concurrent import futures
from typing import TYPE_CHECKING, Any, ClassVar

from keras_tuner.engine.trial import Trial

from kft.errors import InputError, KftError
from kft.tuning.roles import ORACLE_PORT, SECRET, Role, is_name

if TYPE_CHECKING:
    from kft.tuning.chief import Chief

SERVICE = "kft.tuning.Chief"
REQUEST = "kft-request-bin"  # the key in the metadata; gRPC allows bytes for keys that end in -bin
LARGEST_REQUEST = 4096  # bytes, for the names of a worker and a trial
LARGEST_REPLY = 16 * 2**20  # bytes, for a trial with its space
MOST_WORKERS = 1000
_CODE = _CHALLENGE = 32  # bytes


class Desk:
    """Answer the requests of workers that know the secret, and of nobody else.

    Args:
        chief: The chief, which hands out the trials.
        secret: The shared secret.

    Attributes:
        outstanding: The maximum number of unused challenges; beyond it the oldest expires, and a
            request with it is refused.
    """

    outstanding: ClassVar[int] = 10_000

    def __init__(self, chief: Chief, secret: str) -> None:
        self._chief, self._secret = chief, secret
        self._challenges: collections.OrderedDict[bytes, None] = collections.OrderedDict()
        self._names: set[str] = set()

    def challenge(self, messages: Any, context: Any) -> bytes:
        """Issue a challenge, which the next request has to contain."""
        fresh = secrets.token_bytes(_CHALLENGE)
        self._challenges[fresh] = None
        if len(self._challenges) > self.outstanding:
            self._challenges.popitem(last=False)
        return fresh

    def ask(self, messages: Any, context: Any) -> bytes:
        """Answer a request if its code is right."""
        import grpc

        request = dict(context.invocation_metadata()).get(REQUEST, b"")
        code, rest = request[:_CODE], request[_CODE:]
        if not hmac.compare_digest(code, _code(self._secret, b"ask", rest)):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "the secret is another one")
        challenge, content = rest[:_CHALLENGE], rest[_CHALLENGE:]
        if challenge not in self._challenges:
            context.abort(grpc.StatusCode.ABORTED, "the challenge is unknown or has expired")
        del self._challenges[challenge]
        try:
            reply = self._answer(json.loads(content))
        except KftError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        body = json.dumps(reply).encode()
        return _code(self._secret, b"told", code + body) + body

    def _answer(self, content: dict[str, Any]) -> Any:
        name = content["worker"]
        if not is_name(name):
            raise KftError("that is not the name of a worker")
        if name not in self._names and len(self._names) >= MOST_WORKERS:
            raise KftError(f"a search has at most {MOST_WORKERS} workers")
        self._names.add(name)
        if content["ask"] == "trial":
            return self._chief.create_trial(name).get_state()
        return self._chief.end_trial(content["trial"])


class Caller:
    """Send a worker's requests to the chief.

    Args:
        role: The worker's name, the chief's address, and the secret.
    """

    def __init__(self, role: Role) -> None:
        self._role = role

    def create_trial(self) -> Trial:
        """Return the current trial of this worker, or its next one."""
        return Trial.from_state(self._ask({"ask": "trial"}))

    def end_trial(self, trial_id: str) -> None:
        """Report that a trial has ended and its file is written."""
        self._ask({"ask": "end", "trial": trial_id})

    def _ask(self, content: dict[str, Any]) -> Any:
        # The nonce makes each request unique, so that no old reply fits it.
        nonce = secrets.token_hex(16)
        body = json.dumps({**content, "worker": self._role.name, "nonce": nonce}).encode()
        with _connection(self._role) as call:
            rest = call("challenge") + body
            code = _code(self._role.secret, b"ask", rest)
            reply = call("ask", (REQUEST, code + rest))
        if not hmac.compare_digest(
            reply[:_CODE], _code(self._role.secret, b"told", code + reply[_CODE:])
        ):
            raise _strangers(self._role)
        return json.loads(reply[_CODE:])


def serve(chief: Chief, role: Role) -> tuple[Any, int]:
    """Answer workers' requests in a thread.

    Args:
        chief: The chief, which hands out the trials.
        role: The address to listen at, and the secret.

    Returns:
        The running gRPC server, and its port.

    Raises:
        InputError: If the port is taken, or the address is not one of this machine.
    """
    import grpc

    # One thread, so that the journal has the order in which the oracle was called.
    pool = futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="kft-chief")
    options = [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", 0),
        ("grpc.max_metadata_size", LARGEST_REQUEST),
        ("grpc.absolute_max_metadata_size", LARGEST_REQUEST),
        ("grpc.max_concurrent_streams", 16),
    ]
    server = grpc.server(pool, options=options, maximum_concurrent_rpcs=4 * MOST_WORKERS)
    desk = Desk(chief, role.secret)
    handlers = {
        name: grpc.stream_unary_rpc_method_handler(getattr(desk, name))
        for name in ("challenge", "ask")
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    try:
        port = server.add_insecure_port(_address(role.host, role.port))
    except RuntimeError:
        port = 0
    if not port:
        raise InputError(
            f"the chief cannot listen at {role.host}:{role.port}: the port is taken, or the address "
            f"is not one of this machine: set another {ORACLE_PORT}."
        )
    server.start()
    return server, port


def answers(role: Role, timeout: float = 2.0) -> bool:
    """Return whether a process listens at the chief's address."""
    try:
        with socket.create_connection((role.host, role.port), timeout):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def _connection(role: Role) -> Iterator[Any]:
    """Open a new connection, since gRPC waits longer and longer before it retries an old one."""
    import grpc

    options = [("grpc.max_receive_message_length", LARGEST_REPLY), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(_address(role.host, role.port), options=options) as channel:

        def call(method: str, *request: tuple[str, bytes]) -> bytes:
            try:
                ask = channel.stream_unary(f"/{SERVICE}/{method}")
                return ask(iter(()), metadata=request, timeout=60.0)
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                    raise KftError(f"the chief refuses {role.name}: {error.details()}") from error
                if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                    raise _strangers(role) from error
                raise

        yield call


def _strangers(role: Role) -> KftError:
    return KftError(
        f"the process that listens at {role.host}:{role.port} has another secret than {role.name}: set {SECRET} "
        "to the same text for the chief and for each worker."
    )


def _code(secret: str, purpose: bytes, content: bytes) -> bytes:
    return hmac.digest(secret.encode(), purpose + content, hashlib.sha256)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
