"""The client against a real server, in all the ways in which that goes wrong."""

import socket
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest

from labeling.domain.sentences import parts_of
from tests import openai_server as far
from tests.openai_server import OpenAIServer, openai_server
from training.endpoints import errors
from training.endpoints.client import Client, Server
from training.endpoints.pace import Pace, backoff_s
from training.endpoints.protocol import Ask, Piece, Reply

ASK = Ask(messages=[{"role": "user", "content": "Which colour?"}], max_new_tokens=16, seed=7)
SECRET = "sk-very-secret"


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with openai_server() as running:
        yield running


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.endpoints.pace.FIRST_WAIT_S", 0.01)


def client_of(server: OpenAIServer, **changes: Any) -> Client:
    given = {"retries": 2, "read_timeout_s": 5.0, "total_timeout_s": 10.0, **changes}
    return Client(Server(base_url=server.url, model="tiny", allows_private=True, **given))


def test_a_reply_comes_with_its_counts_and_log_probabilities(server: OpenAIServer):
    with client_of(server, api_key=SECRET) as client:
        reply = client.reply(Ask(**{**ASK.__dict__, "logprobs": True, "top_logprobs": 2}))
    asked = server.asked[0]
    assert reply.text == " ".join(far.words_for(asked.body))
    assert (reply.finish_reason, reply.tries, reply.model) == ("stop", 1, "tiny")
    assert reply.completion_tokens == len(reply.tokens) == len(reply.text.split())
    assert reply.prompt_tokens == 2
    assert reply.logprob == pytest.approx(-0.25 * len(reply.tokens))
    assert reply.tokens[0].alternatives == {reply.tokens[0].text: -0.25, "other": -2.0}
    assert asked.key == SECRET
    assert (asked.body["seed"], asked.body["max_tokens"]) == (7, 16)
    assert "top_p" not in asked.body


def test_a_stream_gives_the_same_words_piece_by_piece(server: OpenAIServer):
    with client_of(server) as client:
        pieces = list(client.stream(ASK))
        whole = client.reply(ASK)
    assert "".join(piece.text for piece in pieces) == whole.text
    assert len([piece for piece in pieces if piece.text]) > 1
    assert [piece.finish_reason for piece in pieces if piece.finish_reason] == ["stop"]
    assert pieces[-1].completion_tokens == whole.completion_tokens


def test_names_of_the_models(server: OpenAIServer):
    with client_of(server) as client:
        assert client.models() == ["tiny", "other"]


@pytest.mark.parametrize(
    "deed",
    [
        far.status(429, Retry_After="0"),
        far.status(500),
        far.status(503, b"<html>busy</html>"),
        far.cut_body,
        far.hang_up,
        far.raw(b"<html>Welcome</html>"),
        far.raw({"choices": []}),
        far.raw({"choices": [{"message": {"content": 3}}]}),
        far.raw([1, 2]),
        far.raw(b"[" * 100_000),
        far.raw({"choices": [{"message": {"content": "a"}}], "usage": {"prompt_tokens": "many"}}),
    ],
)
def test_what_may_pass_is_tried_again(server: OpenAIServer, deed: far.Deed):
    server.plan(deed, deed)
    with client_of(server) as client:
        reply = client.reply(ASK)
    assert reply.tries == len(server.chats()) == 3
    assert reply.text == " ".join(far.words_for(server.asked[0].body))


@pytest.mark.parametrize(
    ("deed", "kind", "said", "tries"),
    [
        (far.status(429), errors.TooManyRequests, "lower the rate", 3),
        (far.status(500), errors.ServerFault, "status 500", 3),
        (far.status(401), errors.KeyRefused, "give a valid one", 1),
        (far.status(404), errors.NotThere, "the model's name", 1),
        (far.status(307, Location="http://127.0.0.1:1/"), errors.NotThere, "base URL", 1),
        (far.status(400), errors.RequestRefused, "change what it names", 1),
        (far.cut_body, errors.Dropped, "ended before the answer did", 3),
        (far.hang_up, errors.Dropped, "ended before the answer did", 3),
        (far.raw(b"<html>"), errors.Nonsense, "other than JSON ('<html>')", 3),
        (far.raw({"choices": []}), errors.Nonsense, "no usable choices", 3),
        (far.raw({"object": "error"}), errors.Nonsense, "no usable choices", 3),
        (far.says("a", logprobs={"content": [{"token": "a", "logprob": "x"}]}), errors.Nonsense,
         "no usable logprobs", 3),
    ],
)  # fmt: skip
def test_every_failure_has_a_name_and_a_remedy(
    server: OpenAIServer, deed: far.Deed, kind: type[errors.EndpointError], said: str, tries: int
):
    server.always = deed
    with client_of(server) as client, pytest.raises(kind) as raised:
        client.reply(ASK)
    assert said in str(raised.value)
    assert len(server.chats()) == tries


def test_silence_ends(server: OpenAIServer):
    server.always = far.silence(20)
    start = time.monotonic()
    with (
        client_of(server, read_timeout_s=0.2, retries=1) as client,
        pytest.raises(errors.Silent, match=r"silent for 0\.2 s"),
    ):
        client.reply(ASK)
    assert 0.4 <= time.monotonic() - start < 5
    assert len(server.chats()) == 2


def test_a_slow_drip_is_never_silent_and_ends_all_the_same(server: OpenAIServer):
    server.always = far.drip(0.05)
    start = time.monotonic()
    limits = {"read_timeout_s": 5, "total_timeout_s": 0.5, "retries": 0}
    with client_of(server, **limits) as client, pytest.raises(errors.Silent):
        client.reply(ASK)
    assert time.monotonic() - start < 3


def test_an_answer_may_not_be_endless(server: OpenAIServer):
    server.always = far.says("word " * 50_000)
    with client_of(server, max_answer_bytes=10_000) as client, pytest.raises(errors.TooLong):
        client.reply(ASK)
    assert len(server.chats()) == 1


@pytest.mark.parametrize("deed", [far.cut_stream, far.failing_stream])
def test_a_stream_that_has_begun_is_not_begun_again(server: OpenAIServer, deed: far.Deed):
    server.plan(deed)
    said: list[Piece] = []
    with client_of(server) as client, pytest.raises(errors.Dropped):
        said.extend(client.stream(ASK))
    assert len(server.chats()) == 1


def test_a_stream_that_never_began_is_tried_again(server: OpenAIServer):
    server.plan(far.status(503), far.hang_up)
    with client_of(server) as client:
        assert "".join(piece.text for piece in client.stream(ASK))
    assert len(server.chats()) == 3


def test_whoever_stops_listening_to_a_stream_frees_its_place(server: OpenAIServer):
    with client_of(server, concurrency=1) as client:
        pieces = client.stream(ASK)
        next(pieces)
        pieces.close()
        assert client.reply(ASK).text


def test_retry_after_is_honoured_by_number_and_by_date(server: OpenAIServer):
    for by_date in (False, True):
        asked = formatdate(time.time() + 2, usegmt=True) if by_date else "1"
        server.plan(far.status(429, Retry_After=asked))
        start = time.monotonic()
        with client_of(server) as client:
            client.reply(ASK)
        assert 0.5 < time.monotonic() - start < 4


def test_a_server_that_asks_for_an_hour_is_given_up_at_once(server: OpenAIServer):
    server.plan(far.status(429, Retry_After="3600"))
    with client_of(server) as client, pytest.raises(errors.TooManyRequests) as raised:
        client.reply(ASK)
    assert raised.value.retry_after_s == 3600


def test_many_at_a_time_but_not_more_than_that(server: OpenAIServer):
    def slowly(handler: far.Handler, body: dict[str, Any]) -> None:
        time.sleep(0.05)
        far.well(handler, body)

    server.always = slowly
    asks = [Ask(messages=ASK.messages, max_new_tokens=8, seed=seed) for seed in range(12)]
    with client_of(server, concurrency=3) as client:
        found = dict(client.replies(asks))
    assert sorted(found) == list(range(12))
    assert server.most_at_once == 3
    by_seed = {one.body["seed"]: " ".join(far.words_for(one.body)) for one in server.chats()}
    assert {place: reply.text for place, reply in found.items()} == by_seed


def test_one_that_fails_does_not_end_the_others(server: OpenAIServer):
    server.plan(far.status(400))
    asks = [Ask(messages=ASK.messages, max_new_tokens=8, seed=seed) for seed in range(4)]
    with client_of(server, concurrency=1) as client:
        found = dict(client.replies(asks))
    assert isinstance(found[0], errors.RequestRefused)
    assert all(isinstance(found[place], Reply) for place in (1, 2, 3))


def test_the_rate_is_kept(server: OpenAIServer):
    asks = [Ask(messages=ASK.messages, max_new_tokens=8, seed=seed) for seed in range(5)]
    start = time.monotonic()
    with client_of(server, concurrency=5, requests_per_minute=600) as client:
        list(client.replies(asks))
    assert time.monotonic() - start >= 0.4


def test_closing_ends_what_waits_at_once(server: OpenAIServer):
    server.always = far.silence(30)
    client = client_of(server, read_timeout_s=30, total_timeout_s=60)
    threading.Timer(0.2, client.close).start()
    start = time.monotonic()
    with pytest.raises(errors.Ended):
        client.reply(ASK)
    assert time.monotonic() - start < 3


def test_the_newer_name_of_the_limit_is_learned_once(server: OpenAIServer):
    said = {"error": {"message": "Unsupported 'max_tokens': use 'max_completion_tokens'."}}
    server.plan(far.status(400, said))
    with client_of(server) as client:
        client.reply(ASK)
        client.reply(ASK)
    names = ["max_tokens" in one.body for one in server.chats()]
    assert names == [True, False, False]


def test_the_key_is_in_no_sentence_even_if_the_server_says_it(server: OpenAIServer):
    server.key = "another"
    with client_of(server, api_key=SECRET) as client, pytest.raises(errors.KeyRefused) as raised:
        client.reply(ASK)
    assert SECRET not in str(raised.value)
    assert "Incorrect API key" in str(raised.value)
    assert SECRET not in repr(client.server)


@pytest.mark.parametrize(
    "deed",
    [
        far.raw(f"<html>You sent {SECRET}</html>".encode()),
        far.raw(b"x" * 110 + SECRET.encode()),  # the quotation ends within the key
    ],
)
def test_the_key_is_in_no_sentence_of_an_answer_that_succeeds(server: OpenAIServer, deed: far.Deed):
    server.always = deed
    given = client_of(server, api_key=SECRET, retries=0)
    with given as client, pytest.raises(errors.Nonsense) as raised:
        client.reply(ASK)
    sentence = raised.value.args[0]
    assert "something other than JSON" in sentence
    assert SECRET[:8] not in sentence + str(parts_of(sentence))


@pytest.mark.parametrize("before", [[], [{"choices": [{"delta": {"content": "half"}}]}]])
def test_the_key_is_in_no_sentence_of_a_stream(server: OpenAIServer, before: list[Any]):
    def deed(handler: far.Handler, body: dict[str, Any]) -> None:
        handler.begin_stream()
        for event in [*before, {"error": {"message": f"Bad key {SECRET}"}}]:
            handler.event(event)
        handler.cut()

    server.always = deed
    given = client_of(server, api_key=SECRET, retries=0)
    with given as client, pytest.raises(errors.Dropped) as raised:
        list(client.stream(ASK))
    sentence = raised.value.args[0]
    assert "Bad key …" in sentence
    assert SECRET not in str(parts_of(sentence))


def test_a_key_that_would_add_a_header_is_refused(server: OpenAIServer):
    with pytest.raises(errors.KeyRefused):
        client_of(server, api_key="a\r\nX-Evil: 1")


def test_nobody_there_is_said_so():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        given = Server(base_url=url, model="tiny", allows_private=True, retries=1)
        with Client(given) as client, pytest.raises(errors.Unreachable, match="Nobody answers"):
            client.reply(ASK)


def test_tls_where_there_is_none_is_said_so(server: OpenAIServer):
    url = server.url.replace("http", "https")
    given = Server(base_url=url, model="tiny", allows_private=True, retries=0)
    with Client(given) as client, pytest.raises(errors.Unreachable, match="no TLS"):
        client.reply(ASK)


def test_hostile_text_comes_out_storable(server: OpenAIServer):
    server.plan(far.says("a\x00b\ud800c <script>"))
    with client_of(server) as client:
        assert client.reply(ASK).text == "a\ufffdb?c <script>"


def test_no_content_is_an_empty_reply(server: OpenAIServer):
    server.plan(far.says(None, finish_reason="length"))
    with client_of(server) as client:
        reply = client.reply(ASK)
    assert (reply.text, reply.finish_reason) == ("", "length")


def test_waits_grow_and_differ():
    waits = [backoff_s(attempt) for attempt in range(1, 12)]
    assert waits[0] <= 0.01
    assert max(waits) <= 60
    assert backoff_s(11) > backoff_s(1)
    assert len(set(waits)) == len(waits)


def test_a_held_pace_lets_nobody_through():
    pace = Pace(0, threading.Event())
    pace.hold(0.2)
    start = time.monotonic()
    pace.take_turn()
    assert time.monotonic() - start >= 0.19
