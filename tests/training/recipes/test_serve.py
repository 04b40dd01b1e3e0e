"""A served model, end to end: a real child process, a real socket, a tiny policy."""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.training.playground.serving import make_tiny_policy
from training import launcher
from training.configs import parse_config
from training.recipes.generation import generate
from training.recipes.serve import Server, main, serve
from training.recipes.serving import Asked

pytestmark = pytest.mark.recipe
TOKEN = "a token of more than sixteen letters"
ASKED = [{"role": "user", "content": "red cat"}]


class Served:
    """A child that serves a model, and how it is asked."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "training.recipes.serve",
                str(folder),
                "--device",
                "cpu",
                *options,
            ],
            cwd=launcher.PROJECT,
            env=launcher.environment() | {"PREFLOOP_SERVE_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
        )
        self.port = int(json.loads(self.process.stdout.readline())["port"])

    def open(self, method: str, path: str, body: Any = None, token: str = TOKEN):
        """Send a request and return its connection and answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        raw = body if isinstance(body, bytes) else json.dumps(body) if body is not None else None
        connection.request(method, path, raw, {"Authorization": f"Bearer {token}"})
        return connection, connection.getresponse()

    def ask(self, path: str = "/v1/chat/completions", *, method: str = "POST", **body: Any):
        """Return the status and the answer's JSON."""
        given = {"messages": ASKED, "max_tokens": 8, **body} if method == "POST" else None
        connection, answer = self.open(method, path, given)
        with closing(connection):
            return answer.status, json.loads(answer.read())

    def inside(self) -> int:
        """How many requests are under way or wait."""
        return int(self.ask("/health", method="GET")[1]["inside"])


@contextmanager
def served(folder: Path, *options: str) -> Iterator[Served]:
    child = Served(folder, *options)
    try:
        yield child
    finally:
        child.process.kill()
        child.process.wait()
        child.process.stdout.close()


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a policy with random weights."""
    folder = tmp_path_factory.mktemp("served") / "policy"
    make_tiny_policy(folder)
    return folder


@pytest.fixture(scope="module")
def server(policy) -> Iterator[Served]:
    with served(policy, "--waiting", "1", "--name", "tiny") as child:
        yield child


def events(answer: http.client.HTTPResponse) -> list[Any]:
    lines = [line[5:].strip() for line in answer.read().split(b"\n") if line.startswith(b"data:")]
    assert lines[-1] == b"[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_a_whole_reply_is_the_one_that_the_seed_gives(server, policy):
    status, body = server.ask(seed=7, temperature=0.8, top_p=0.9)
    config = parse_config(
        "sample", {"max_new_tokens": 8, "temperature": 0.8, "top_p": 0.9, "max_length": 96}
    )
    (drawn,) = generate(policy, ["red cat"], config, seed=7)
    assert status == 200
    (choice,) = body["choices"]
    assert choice["message"] == {"role": "assistant", "content": drawn.text}
    assert choice["finish_reason"] == drawn.finish_reason
    assert body["usage"]["completion_tokens"] == drawn.tokens
    assert body["model"] == "tiny"


def test_a_stream_says_the_same_in_pieces(server):
    _, whole = server.ask(seed=3, max_tokens=40)
    options = {"stream": True, "stream_options": {"include_usage": True}}
    connection, answer = server.open(
        "POST", "/v1/chat/completions", {"messages": ASKED, "max_tokens": 40, "seed": 3, **options}
    )
    with closing(connection):
        assert answer.headers["Content-Type"] == "text/event-stream"
        *pieces, usage = events(answer)
    said = "".join(piece["choices"][0]["delta"].get("content", "") for piece in pieces)
    assert said == whole["choices"][0]["message"]["content"]
    assert pieces[-1]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert usage["usage"] == whole["usage"]
    assert len(pieces) > 3


def test_models_and_health(server):
    assert server.ask("/v1/models", method="GET")[1]["data"][0]["id"] == "tiny"
    assert server.ask("/health", method="GET") == (200, {"status": "ok", "inside": 0})
    assert server.ask("/", method="GET")[0] == 404


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/v1/chat/completions"])
def test_nobody_is_answered_without_the_token(server, path):
    for token in ("", "another token of sixteen letters"):
        method = "POST" if "chat" in path else "GET"
        connection, answer = server.open(method, path, {}, token=token)
        with closing(connection):
            assert answer.status == 401


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "user", "content": "a"}] * 2}, 200, None),
        ({"messages": [{"role": "assistant", "content": "a"}]}, 400, "user"),
        ({"messages": [{"role": "user", "content": "red " * 200}]}, 400, "96 tokens"),
        ({"messages": [{"role": "user", "content": "a<|end|>b"}]}, 400, "mark"),
        ({"temperature": -1}, 400, "temperature"),
        ({"top_p": 2}, 400, "top_p"),
        ({"max_tokens": 0}, 200, None),
        ({"max_tokens": -1}, 400, "max_new_tokens"),
        ({"seed": "x"}, 400, "seed"),
        ({"n": 2}, 400, "n must be 1"),
        ({"tools": [{}]}, 400, "tools"),
        ({"model": "another"}, 404, "tiny"),
    ],
)
def test_what_it_takes(server, body, status, said):
    found, answer = server.ask(**body)
    assert found == status, answer
    if said:
        assert said in answer["error"]["message"]


def test_a_body_that_is_none_is_refused(server):
    for raw in (b"", b"[1]", b"{", b"\xff"):
        connection, answer = server.open("POST", "/v1/chat/completions", raw)
        with closing(connection):
            assert answer.status == 400


def until(holds, limit_s: float = 20.0) -> bool:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.02)
    return False


def gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_it_dies_with_its_parent_while_it_loads_and_while_it_serves(policy):
    """Both parents are killed outright: one before its child has loaded the model, one after."""
    words = [sys.executable, "-m", "training.recipes.serve", str(policy)]
    script = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen({words!r}, stdout=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\n"
        "print(child.stdout.readline(), flush=True)\n"
        "time.sleep(60)\n"
    )
    environment = launcher.environment() | {"PREFLOOP_SERVE_TOKEN": TOKEN}
    command = [sys.executable, "-c", script]
    early, late = (
        subprocess.Popen(command, cwd=launcher.PROJECT, env=environment, stdout=subprocess.PIPE)
        for _ in range(2)
    )
    children = [int(parent.stdout.readline()) for parent in (early, late)]
    early.kill()
    assert b"port" in late.stdout.readline()
    late.kill()
    for parent in (early, late):
        parent.wait()
        parent.stdout.close()
    assert until(lambda: all(map(gone, children)))


def test_it_says_why_it_does_not_start(monkeypatch, policy, tmp_path):
    monkeypatch.setenv("PREFLOOP_SERVE_TOKEN", "short")
    with pytest.raises(SystemExit, match="random text"):
        main([str(policy)])
    monkeypatch.setenv("PREFLOOP_SERVE_TOKEN", TOKEN)
    with pytest.raises(SystemExit, match="not a folder"):
        main([str(tmp_path / "nowhere")])


# --- the server alone, with somebody in place of the model ------------------------------------


class Chatterbox:
    """Says a word after the other until `ends` is set; knows when it was interrupted."""

    name = "chatterbox"

    def __init__(self) -> None:
        self.ends = threading.Event()
        self.interrupted = threading.Event()
        self.fails = False

    def asked(self, raw: bytes) -> Asked:
        """Take anything."""
        config = parse_config("sample", {})
        stream = json.loads(raw).get("stream", False)
        return Asked(ids=[1], config=config, seed=1, stream=stream, tells_usage=False)

    def pieces(self, asked: Asked, ended: dict[str, Any]) -> Iterator[str]:
        """Talk."""
        try:
            while not self.ends.wait(0.01):
                yield "word "
                if self.fails:
                    raise RuntimeError("no memory is left")
            ended |= {"finish_reason": "stop", "usage": {}}
        except GeneratorExit:
            self.interrupted.set()
            raise


@pytest.fixture
def alone(monkeypatch) -> Iterator[tuple[Chatterbox, Any]]:
    """A server in this process, and how to ask it."""
    monkeypatch.setattr("training.recipes.serve._PING_S", 0.05)
    talker = Chatterbox()
    server = Server(talker, TOKEN, waiting=1)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    served = Served.__new__(Served)
    served.port = server.server_address[1]
    yield talker, served
    talker.ends.set()
    server.shutdown()
    server.server_close()


def leave(connection, answer) -> None:
    answer.close()
    connection.close()


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_its_reply(alone, stream):
    talker, served = alone
    if stream:
        connection, answer = served.open("POST", "/v1/chat/completions", {"stream": True})
        assert answer.readline()
        leave(connection, answer)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", served.port)
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        connection.request("POST", "/v1/chat/completions", "{}", bearer)
        assert until(lambda: served.inside() == 1)
        connection.close()
    assert talker.interrupted.wait(10)
    assert until(lambda: served.inside() == 0)


def test_one_at_a_time_one_waits_and_others_are_turned_away(alone):
    talker, served = alone
    first = served.open("POST", "/v1/chat/completions", {"stream": True})
    assert first[1].readline().startswith(b"data:")
    second = served.open("POST", "/v1/chat/completions", {"stream": True})
    assert second[1].readline() == b": waiting\n"
    status, body = served.ask()
    assert (status, body["error"]["code"]) == (429, "busy")
    leave(*first)
    while b"word" not in second[1].readline():
        pass
    talker.ends.set()
    assert second[1].read().endswith(b"data: [DONE]\n\n")
    leave(*second)
    assert until(lambda: served.inside() == 0)


def test_who_waits_may_leave(alone):
    _, served = alone
    first = served.open("POST", "/v1/chat/completions", {"stream": True})
    assert first[1].readline().startswith(b"data:")
    second = served.open("POST", "/v1/chat/completions", {"stream": True})
    leave(*second)
    assert until(lambda: served.inside() == 1)
    leave(*first)
    assert until(lambda: served.inside() == 0)


def test_a_reply_that_fails_says_so_and_the_next_one_comes(alone):
    talker, served = alone
    talker.fails = True
    connection, answer = served.open("POST", "/v1/chat/completions", {"stream": True})
    with closing(connection):
        assert b"no memory is left" in answer.read()
    status, body = served.ask()
    assert (status, "no memory" in body["error"]["message"]) == (500, True)
    talker.fails = False
    talker.ends.set()
    assert served.ask()[0] == 200


def test_it_ends_when_nobody_asks(capsys):
    server = Server(Chatterbox(), TOKEN)
    serve(server, idle_s=0.2)
    server.server_close()
    assert json.loads(capsys.readouterr().out)["port"] == server.server_address[1]
