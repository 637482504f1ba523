"""`kft serve`: files and texts are answered, strangers' pages and broken requests are not."""

import contextlib
import http.client
import io
import json
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kft.errors import InputError
from kft.local_server import LocalServer, asking, server
from kft.local_server.port import hold
from kft.tasks import Classification, Detection, Regression, Segmentation, Several, Spans
from kft.testing.families import (
    TinyImages,
    TinyLanguage,
    TinyTexts,
    save_tiny_bert,
    save_tiny_llama,
)
from tests.clips.making import TinyClips
from tests.report.test_report_in_a_browser import why_not
from tests.tiny_recipe import TinyRecipe
from tests.using.conftest import load_once

BROWSER = Path(__file__).parents[1] / "browser_ask.py"
OWN = ("--recipe", "tests.tiny_recipe:TinyRecipe")


@contextlib.contextmanager
def serving(recipe, name="a run"):
    """The port of a server for a recipe."""
    with LocalServer(recipe, name) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield found.server_address[1]
        finally:
            found.shutdown()
            thread.join()


def ask(port, body=None, *, path="/answer", method="POST", **headers):
    """The status and the content of a reply."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        content = reply.read()
        return reply.status, json.loads(content) if path != "/" else content.decode()


@pytest.fixture(scope="module")
def recipe():
    return TinyRecipe(num_classes=3, classes=["a <b>", "c", "d"])


@pytest.fixture(scope="module")
def photo():
    """The content of an image file."""
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype="uint8")
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


# What is answered: from other threads than the model's own, on each backend.


def test_an_image_is_answered_as_predict_does(recipe, photo):
    with serving(recipe) as port:
        status, reply = ask(port, photo)
    expected = recipe.predict([photo])
    assert status == 200
    assert reply["answer"]["label"] == expected.labels[0]
    assert reply["answer"]["scores"] == pytest.approx(expected[0].scores, rel=1e-5)
    assert "a &lt;b&gt;" in reply["html"]
    assert reply["milliseconds"] > 0


def test_a_text_is_answered_as_predict_does(text_run):
    texts = load_once(text_run)
    with serving(texts) as port:
        _, reply = ask(port, "naïve film".encode())
        assert reply["answer"]["label"] == texts.predict(["naïve film"]).labels[0]
        status, reply = ask(port, b"caf\xe9")
    assert (status, reply["error"][:21]) == (400, "the text is not UTF-8")


def test_a_prompt_is_continued(tmp_path):
    model = TinyLanguage(save_tiny_llama(tmp_path / "preset"), sequence_length=24)
    with serving(model) as port:
        assert "Continue</button>" in ask(port, path="/", method="GET")[1]
        _, reply = ask(port, b"the film")
    assert reply["answer"] == {"continuation": model.generate(["the film"])[0]}
    assert reply["html"].startswith('<p style="white-space:pre-wrap">the film<mark>')


@pytest.mark.once
def test_a_question_comes_with_its_context(tmp_path):
    answers = TinyTexts(save_tiny_bert(tmp_path / "preset"), task=Spans(), backbone_dropout=0.0)
    with serving(answers) as port:
        page = ask(port, path="/", method="GET")[1]
        assert page.count("<textarea") == 2
        status, reply = ask(port, json.dumps({"question": "who", "context": "a good\nfilm"}))
        assert status == 200, reply
        for body in (
            '{"question": "who"}',
            "[1]",
            "who",
            '{"question": 1, "context": "a"}',
            "[" * 10**5,
        ):
            status, reply = ask(port, body)
            assert status == 400
            assert 'send {"question": "...", "context": "..."}' in reply["error"]


@pytest.mark.once
def test_a_mask_is_drawn_on_its_image(photo):
    masks = TinyImages(task=Segmentation(("sky", "road")), classes=["sky", "road"])
    with serving(masks) as port:
        status, reply = ask(port, photo)
    assert status == 200, reply
    assert '<img src="data:image/png;base64,' in reply["html"]
    assert "<figcaption>the file<" in reply["html"]


@pytest.mark.once
@pytest.mark.parametrize(
    ("task", "columns"),
    [
        (Regression(2), {"label"}),
        (Detection(("a", "b"), channels=8), {"boxes"}),
        (
            Several({"kind": Classification(3), "age": Regression(1)}),
            {"kind_label", "kind_scores", "age_label"},
        ),
    ],
    ids=["numbers", "boxes", "several"],
)
def test_any_task_is_answered(task, columns, photo):
    answers = TinyImages(task=task)
    answers.classes = getattr(task, "classes", None)
    with serving(answers) as port:
        status, reply = ask(port, photo)
    assert status == 200, reply
    assert reply["answer"].keys() == columns
    assert "the file" in reply["html"]
    assert tempfile.gettempdir() not in reply["html"]


# What is not.


@pytest.mark.once
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:80"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
def test_the_page_of_a_stranger_gets_nothing(recipe, photo, headers):
    with serving(recipe) as port:
        assert ask(port, photo, **headers)[0] == 403
        connection = http.client.HTTPConnection("127.0.0.1", port)
        with contextlib.closing(connection):
            connection.request("GET", "/", headers=headers)
            assert connection.getresponse().status == 403


@pytest.mark.once
def test_its_own_page_is_answered_by_either_name(recipe, photo):
    with serving(recipe) as port:
        for host in (f"127.0.0.1:{port}", f"localhost:{port}", "localhost:9000"):  # of a tunnel
            assert ask(port, photo, Host=host, Origin=f"http://{host}")[0] == 200


@pytest.mark.once
def test_a_bad_file_is_named_and_the_next_is_answered(recipe, photo):
    large = io.BytesIO()
    Image.new("1", (8000, 7000)).save(large, "PNG")
    with serving(recipe) as port:
        for body, said in [
            (b"no image", "the file cannot be used: not an image"),
            (photo[:60], "the file cannot be used: "),
            (large.getvalue(), "the file cannot be used: gigantic image, 8000 x 7000 pixels"),
            (b"", "the request is empty"),
        ]:
            status, reply = ask(port, body)
            assert status == 400
            assert reply["error"].startswith(said)
            assert tempfile.gettempdir() not in reply["error"]
        assert ask(port, photo)[0] == 200


@pytest.mark.once
def test_a_request_is_bounded(recipe, photo, monkeypatch):
    monkeypatch.setattr(server, "_MOST_BYTES", len(photo))
    with serving(recipe) as port:
        assert ask(port, photo)[0] == 200
        assert ask(port, photo + b"\0")[0] == 413
        assert ask(port, b"", **{"Content-Length": "9" * 5000})[0] == 413
        assert ask(port, b"", **{"Content-Length": "-1"})[0] == 411
        assert ask(port, iter([photo]))[0] == 411  # in chunks
        form = (
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + photo + b"\r\n--x--\r\n"
        )
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        status, reply = ask(port, form[: len(photo)], **kind)
        assert (status, "--data-binary @a.jpg" in reply["error"]) == (415, True)
        assert ask(port, photo, path="/else")[0] == 404
        assert ask(port, path="/else", method="GET")[0] == 404


@pytest.mark.once
def test_a_request_with_the_other_method_is_told_the_right_one(recipe):
    with serving(recipe) as port:
        for place, method, allowed in (("/answer", "GET", "POST"), ("/", "POST", "GET")):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            with contextlib.closing(connection):
                connection.request(method, place, b"")
                reply = connection.getresponse()
                assert (reply.status, reply.getheader("Allow")) == (405, allowed)


@pytest.mark.parametrize("kind", ["image", "clip", "text", "parts", "prompt"])
def test_the_model_has_answered_before_the_server_listens(kind, tmp_path, monkeypatch):
    makers = {
        "image": lambda: TinyRecipe(num_classes=2),
        "clip": lambda: TinyClips(num_classes=2),
        "text": lambda: TinyTexts(save_tiny_bert(tmp_path / "preset"), num_classes=2),
        "parts": lambda: TinyTexts(save_tiny_bert(tmp_path / "preset"), task=Spans()),
        "prompt": lambda: TinyLanguage(save_tiny_llama(tmp_path / "preset"), sequence_length=24),
    }
    one, answered = makers[kind](), []
    answer = asking.Asked.answer

    def seen(asked, body):
        with socket.socket() as client:
            assert client.connect_ex(held.getsockname()), "the server listens already"
        answered.append(answer(asked, body))
        return answered[-1]

    monkeypatch.setattr(asking.Asked, "answer", seen)
    with hold(0) as held, LocalServer(one, "a run", held) as found:
        assert len(answered) == 1
        with socket.create_connection(found.server_address, timeout=60):
            pass


@pytest.mark.once
def test_a_connection_that_says_nothing_keeps_nobody_waiting(recipe, photo, monkeypatch):
    monkeypatch.setattr(server._Handler, "timeout", None)  # it would keep the port for ever
    with serving(recipe) as port, socket.create_connection(("127.0.0.1", port)) as silent:
        silent.sendall(
            b"POST /answer HTTP/1.1\r\nHost: localhost:1\r\nContent-Length: 9\r\n\r\nhalf"
        )
        assert ask(port, photo)[0] == 200


def half_of_a_request(port, length):
    """Return a connection that has sent fewer bytes than its request announces."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    head = f"POST /answer HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: {length}\r\n\r\n"
    connection.sendall(head.encode() + b"half")
    return connection


@pytest.mark.once
def test_a_request_that_ends_early_is_not_answered_as_if_it_were_whole(recipe):
    with serving(recipe) as port, half_of_a_request(port, 9) as client:
        client.shutdown(socket.SHUT_WR)
        assert b"the request ended after 4 of 9 bytes" in client.makefile("rb").read()


@pytest.mark.once
def test_a_request_that_trickles_for_ever_is_ended(recipe, monkeypatch):
    """No single wait is long, so only a limit on the whole request ends it."""
    monkeypatch.setattr("kft.local_server.server._LONGEST", 0.2)
    with serving(recipe) as port, half_of_a_request(port, 9) as client:
        assert b"the request ended after 4 of 9 bytes" in client.makefile("rb").read()


@pytest.mark.once
def test_a_client_that_goes_away_is_no_error(recipe, photo, capsys):
    with serving(recipe) as port:
        with half_of_a_request(port, 4) as client:  # answered, but nobody reads it
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with half_of_a_request(port, 9) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert ask(port, photo)[0] == 200
    assert capsys.readouterr().err == ""


@pytest.mark.once
def test_too_many_connections_at_once_are_refused(recipe, photo, monkeypatch):
    monkeypatch.setattr(server, "_MOST_CONNECTIONS", 2)
    with serving(recipe) as port:
        with half_of_a_request(port, 9), half_of_a_request(port, 9):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            with contextlib.closing(connection):
                connection.connect()
                assert connection.sock.recv(20).startswith(b"HTTP/1.0 503")
        for _ in range(100):  # the threads of the closed connections end on their own
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
                if ask(port, photo)[0] == 200:
                    return
            time.sleep(0.05)
        pytest.fail("no connection is free again")


@pytest.mark.once
def test_an_error_of_the_recipe_ends_one_request_alone(recipe, photo, monkeypatch, capsys):
    with serving(recipe) as port:
        with monkeypatch.context() as broken:
            broken.setattr(asking.Asked, "answer", lambda *_: 1 / 0)
            assert ask(port, photo) == (500, {"error": "ZeroDivisionError: division by zero"})
        assert ask(port, photo)[0] == 200
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.once
def test_nothing_of_a_file_is_left(recipe, photo, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with serving(recipe) as port:
        ask(port, photo)
        ask(port, b"no image")
    assert list(tmp_path.iterdir()) == []


# The command.


@pytest.mark.once
def test_the_command_serves_until_it_is_interrupted(image_run, photo):
    command = [sys.executable, "-m", "kft", "serve", str(image_run), *OWN, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        address = process.stdout.readline().split()[1]
        port = int(address.rstrip("/").rpartition(":")[2])
        assert address == f"http://127.0.0.1:{port}/"
        assert ask(port, photo)[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "Stopped.\n"
    assert process.returncode == 0


@pytest.mark.once
def test_a_port_in_use_is_named(cli, image_run):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, _, err = cli("serve", image_run, *OWN, "--port", port)
    assert code == 2
    assert f"`--port {port}` cannot be used" in err


@pytest.mark.once
def test_a_port_in_use_is_refused_before_a_framework_is_imported(image_run):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code = (
            "import sys; from kft.cli import main\n"
            f"sys.argv = ['kft', 'serve', {str(image_run)!r}, '--port', '{port}']\n"
            "try: main()\n"
            "except SystemExit as end: print(end.code)\n"
            "print([m for m in ('tensorflow', 'keras', 'torch', 'jax') if m in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True)
    assert done.stdout.splitlines() == ["2", "[]"]


@pytest.mark.once
def test_a_port_that_was_taken_meanwhile_is_named(recipe):
    with hold(0) as held, socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(held.getsockname())
        other.listen()
        with pytest.raises(InputError, match=r"`port=\d+` cannot be used"):
            LocalServer(recipe, "a run", held)


# The page.


@pytest.mark.once
@pytest.mark.parametrize("kind", ["image", "text"])
def test_a_person_gets_an_answer_in_a_browser(recipe, text_run, photo, tmp_path, kind):
    if why_not():
        pytest.skip(f"no Qt WebEngine: {why_not()}")
    (tmp_path / "photo.png").write_bytes(photo)
    given = tmp_path / "photo.png" if kind == "image" else "a good film"
    asked = recipe if kind == "image" else load_once(text_run)
    best = str(asked.predict([str(given)]).labels[0])
    with serving(asked, name="a <run>") as port:
        done = subprocess.run(
            [sys.executable, BROWSER, f"http://127.0.0.1:{port}/", given, tmp_path / "seen.png"],
            text=True,
            capture_output=True,
            check=True,
        )
    seen = json.loads(done.stdout)
    assert seen["console"] == []
    assert seen["said"].split("\n")[0] == ("photo.png" if kind == "image" else given)
    assert best in seen["said"]
    assert seen["images"] == ([30] if kind == "image" else [])
