"""A client without the secret can neither take nor end trials."""

import hashlib
import hmac
import json
import secrets
import threading
from concurrent import futures

import grpc
import keras_tuner
import pytest
from keras_tuner.engine.trial import TrialStatus

import kft
from kft.tuning import rpc
from kft.tuning.chief import Chief
from kft.tuning.oracles import make_oracle
from kft.tuning.roles import Role
from kft.tuning.rpc import Caller, Desk, serve
from kft.tuning.worker import Worker

pytestmark = pytest.mark.once

SECRET = "known to the workers of this search"


@pytest.fixture
def served(tmp_path):
    """Return a chief of two trials that listens, and the role of one of its workers."""
    space = keras_tuner.HyperParameters()
    space.Choice("unfreeze", [0, 1])
    with space.conditional_scope("unfreeze", [1]):
        space.Float("backbone_lr", 1e-3, 1e-1, sampling="log")
    oracle = make_oracle(
        "random", objective=keras_tuner.Objective("val_accuracy", "max"), max_trials=2,
        hyperparameters=space, seed=3,
    )  # fmt: skip
    oracle._set_project_dir(str(tmp_path / "oracle"), "oracle")
    chief = Chief(oracle, tmp_path, tmp_path / "trials", lambda trial: None)
    server, port = serve(chief, Role("chief", "127.0.0.1", 0, SECRET))
    yield chief, Role("worker-1", "127.0.0.1", port, SECRET)
    server.stop(None).wait()


def untouched(chief):
    return not chief.oracle.trials and not chief.journal.path.exists()


def call(role, method, *metadata, messages=(), timeout=10):
    """Send a request that anyone could send."""
    with grpc.insecure_channel(f"{role.host}:{role.port}") as channel:
        ask = channel.stream_unary(f"/{rpc.SERVICE}/{method}")
        return ask(iter(messages), metadata=metadata, timeout=timeout)


def request(role, content, secret=SECRET, challenge=None):
    """Return a request like a worker's."""
    challenge = call(role, "challenge") if challenge is None else challenge
    rest = challenge + json.dumps(content).encode()
    return hmac.digest(secret.encode(), b"ask" + rest, hashlib.sha256) + rest


def refusal(role, made, **settings):
    with pytest.raises(grpc.RpcError) as refused:
        call(role, "ask", (rpc.REQUEST, made), **settings)
    return refused.value.code()


def test_a_worker_gets_its_trial_with_all_that_is_known_of_it(served):
    chief, role = served
    trial = Caller(role).create_trial()
    known = chief.oracle.trials[trial.trial_id]
    assert trial.status == TrialStatus.RUNNING
    assert trial.hyperparameters.get_config() == known.hyperparameters.get_config()
    assert Caller(role).create_trial().trial_id == trial.trial_id, "a sign of life"
    Caller(role).end_trial(trial.trial_id)


def test_keras_tuners_own_client_gets_nothing(served, monkeypatch):
    from keras_tuner.src.distribute.oracle_client import OracleClient

    chief, role = served
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", role.host)
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(role.port))
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "stranger")
    with pytest.raises(grpc.RpcError) as refused:
        OracleClient(chief.oracle).create_trial("stranger")
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert untouched(chief)


@pytest.mark.parametrize(
    "made",
    [
        lambda role: b"",
        lambda role: b"\x00" * 64,
        lambda role: request(role, {"ask": "trial", "worker": "a"}, secret=""),
        lambda role: request(role, {"ask": "trial", "worker": "a"}, secret="guessed, and wrong"),
        lambda role: request(role, {"ask": "end", "trial": "0", "worker": "a"}, secret="guessed"),
        lambda role: request(role, {"ask": "trial", "worker": "a"})[:-1] + b" ",
    ],
    ids=["nothing", "zeros", "no secret", "wrong secret", "an end", "changed on the way"],
)
def test_a_stranger_without_the_secret_is_refused(served, made):
    chief, role = served
    assert refusal(role, made(role)) is grpc.StatusCode.UNAUTHENTICATED
    assert untouched(chief)


def test_what_was_overheard_is_worth_nothing(served):
    chief, role = served
    heard = request(role, {"ask": "trial", "worker": "worker-1"})
    assert call(role, "ask", (rpc.REQUEST, heard))
    before = chief.journal.path.read_text()
    assert refusal(role, heard) is grpc.StatusCode.ABORTED
    invented = request(role, {"ask": "trial", "worker": "b"}, challenge=secrets.token_bytes(32))
    assert refusal(role, invented) is grpc.StatusCode.ABORTED
    assert chief.journal.path.read_text() == before


def test_a_chief_knows_no_challenge_of_the_one_before_it(served, tmp_path):
    _, role = served
    heard = request(role, {"ask": "trial", "worker": "worker-1"})
    again = Chief(served[0].oracle, tmp_path, tmp_path / "trials", lambda trial: None)
    server, port = serve(again, Role("chief", "127.0.0.1", 0, SECRET))
    try:
        next_role = Role("worker-1", "127.0.0.1", port, SECRET)
        assert refusal(next_role, heard) is grpc.StatusCode.ABORTED
    finally:
        server.stop(None).wait()


@pytest.mark.parametrize("size", [10_000, 1_000_000])
def test_a_huge_request_is_refused_before_anybody_looks_at_it(served, size):
    """gRPC refuses it; the chief would complain about the secret."""
    chief, role = served
    refused = refusal(role, b"a" * size)
    assert refused in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)
    assert untouched(chief)
    assert Caller(role).create_trial().trial_id == "0", "it serves on"


def test_a_huge_message_is_not_read(served):
    """The error is the missing secret, and not that the message is too large."""
    _, role = served
    with pytest.raises(grpc.RpcError) as refused:
        call(role, "ask", messages=[b"a" * 1_000_000])
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_who_says_nothing_makes_nobody_wait(served):
    """There are more calls whose message never comes than the chief has threads."""
    _, role = served
    over = threading.Event()

    def silent():
        over.wait(30)
        yield b""

    with grpc.insecure_channel(f"{role.host}:{role.port}") as channel:
        ask = channel.stream_unary(f"/{rpc.SERVICE}/ask")
        begun = [ask.future(silent(), timeout=30) for _ in range(8)]
        assert Caller(role).create_trial().trial_id == "0"
        over.set()
        for one in begun:
            assert one.exception().code() is grpc.StatusCode.UNAUTHENTICATED


def test_challenges_do_not_pile_up(served):
    desk = Desk(served[0], SECRET)
    for _ in range(3 * desk.outstanding):
        desk.challenge(None, None)
    assert len(desk._challenges) == desk.outstanding


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"ask": "trial", "worker": "w" * 101}, "not the name of a worker"),
        ({"ask": "trial", "worker": ""}, "not the name of a worker"),
        ({"ask": "trial", "worker": "a\nb"}, "not the name of a worker"),
        ({"ask": "trial", "worker": 3}, "not the name of a worker"),
        ({"ask": "end", "worker": "a", "trial": "9"}, "there is no trial '9'"),
    ],
)
def test_one_who_knows_the_secret_is_bounded_too(served, content, said):
    chief, role = served
    with pytest.raises(grpc.RpcError, match=said) as refused:
        call(role, "ask", (rpc.REQUEST, request(role, content)))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert untouched(chief)


def test_the_number_of_workers_is_bounded(served, monkeypatch):
    _, role = served
    monkeypatch.setattr(rpc, "MOST_WORKERS", 2)
    for name in ("a", "b", "a"):
        Caller(Role(name, role.host, role.port, SECRET)).create_trial()
    with pytest.raises(kft.KftError, match="at most 2 workers"):
        Caller(Role("c", role.host, role.port, SECRET)).create_trial()


def test_a_worker_with_another_secret_ends_and_says_so(served):
    _, role = served
    other = Role("worker-1", role.host, role.port, "another one of some length")
    worker = Worker.__new__(Worker)  # only its requests, without a search
    worker.role, worker.caller = other, Caller(other)
    with pytest.raises(kft.KftError, match=r"another secret than worker-1: set KFT_TUNE_SECRET"):
        worker._ask(worker.caller.create_trial)


def test_a_worker_believes_no_chief_that_lacks_the_secret(served):
    """An impostor at the port of a dead chief replays its last reply."""
    _, role = served
    heard = request(role, {"ask": "trial", "worker": "worker-1"})
    said = call(role, "ask", (rpc.REQUEST, heard))
    challenge = heard[32:64]
    server = grpc.server(futures.ThreadPoolExecutor(1))
    replies = {"challenge": lambda *_: challenge, "ask": lambda *_: said}
    handlers = {
        name: grpc.stream_unary_rpc_method_handler(reply) for name, reply in replies.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(rpc.SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with pytest.raises(kft.KftError, match="another secret"):
            Caller(Role("worker-1", "127.0.0.1", port, SECRET)).create_trial()
    finally:
        server.stop(None).wait()
