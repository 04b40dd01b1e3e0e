"""Replies of an outside model: asked of an OpenAI-compatible server, many at a time.

endpoint.json in the run's folder says where and how; the key comes by an environment variable of
this process alone, and is written nowhere. Each answer is a line at once, so that nobody pays for
it twice. Where the server can't be asked any more the run stops and says why, to go on later.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from labeling.domain.sentences import parts_of
from training import rundir
from training.configs import SampleConfig
from training.endpoints.client import Client, Server
from training.endpoints.errors import Dropped as HungUp
from training.endpoints.errors import (
    Ended,
    EndpointError,
    Nonsense,
    RequestRefused,
    ServerFault,
    Silent,
    TooLong,
)
from training.endpoints.protocol import Ask, Reply
from training.recipes.data import Dropped, Ids, Messages
from training.recipes.drawing import Asked, Draw
from training.recipes.replying import Prompt, read_prompts
from training.recipes.running import Run, StopSignal

_POLL_S = 0.5
_ROUNDS = 16
"""So many requests for each place lie between two checkpoints."""
_KNOCK: Final = Ask(messages=[{"role": "user", "content": "Say yes."}], max_new_tokens=8)


def server_in(folder: Path) -> Server:
    """The server that a run's folder names, with the key of this process's environment.

    The variable is taken out of the environment: nothing that this process starts sees it.
    """
    given = rundir.read_json(folder / rundir.ENDPOINT)
    return Server(**given["server"], api_key=os.environ.pop(rundir.ENDPOINT_KEY, ""))


def once(server: Server) -> Client:
    """A client that tries once alone, for `fails_alone`."""
    return Client(replace(server, retries=0))


def fails_alone(client: Client, ask: Ask, error: EndpointError) -> bool:
    """Return whether a request that failed after all its tries is itself what fails.

    So it is where the server replies to another one, and then fails on this one again; a run that
    waited for such a server would ask the same for ever.
    """
    if not isinstance(error, ServerFault | Nonsense | Silent | HungUp):
        return False
    try:
        client.reply(_KNOCK)
    except EndpointError:
        return False
    try:
        client.reply(ask)
    except EndpointError as again:
        return type(again) is type(error)
    return False


class _Unencoded:
    """Stands where an encoder does: the server's tokens are the server's own matter."""

    def prompt(self, messages: Messages) -> Ids:
        """No ids. Raises Dropped for a prompt without a message."""
        if not messages:
            raise Dropped("empty_prompt")
        return []


class OutsideBackend:
    """Asks a server for each reply, `concurrency` at a time."""

    by_line = True

    def __init__(self, run: Run, config: SampleConfig, stop: StopSignal) -> None:
        server = server_in(run.folder)
        self._run = run
        self._config = config
        self._stop = stop
        self._client = Client(server)
        self._once = once(server)
        self._problem: EndpointError | None = None
        self.batch_size = server.concurrency * _ROUNDS
        self.fixed: Mapping[str, Any] = {
            "temperature": config.temperature,
            "top_p": config.top_p,
            "top_k": config.top_k,
            "max_new_tokens": config.max_new_tokens,
            "model_sha256": rundir.read_json(run.folder / rundir.ENDPOINT)["sha256"],
        }

    def prompts(self) -> tuple[list[Prompt], dict[str, Any]]:
        """All that hold a message."""
        return read_prompts(self._run, _Unencoded())

    def draw(self, batch: Sequence[Asked]) -> Iterator[tuple[Asked, Draw]]:
        """Yield answers as they come; ends early where the server can't be asked any more."""
        over = threading.Event()
        watch = threading.Thread(target=self._close_on_stop, args=(over,), daemon=True)
        watch.start()
        try:
            asks = [self._ask(one) for one in batch]
            for place, came in self._client.replies(asks, enough=lambda: bool(self._problem)):
                if isinstance(came, Reply):
                    yield batch[place], _drawn(came)
                elif isinstance(came, RequestRefused | TooLong) or (
                    not self._problem and fails_alone(self._once, asks[place], came)
                ):
                    yield batch[place], Draw(left_out=came.code)
                elif not isinstance(came, Ended):
                    self._problem = self._problem or came
        finally:
            over.set()
            watch.join()

    def _close_on_stop(self, over: threading.Event) -> None:
        """A person who asks to stop need not wait for a silent server."""
        while not over.wait(_POLL_S):
            if self._stop.reason():
                self.close()
                return

    def _ask(self, one: Asked) -> Ask:
        return Ask(
            messages=one.messages,
            max_new_tokens=self._config.max_new_tokens,
            temperature=self._config.temperature,
            top_p=self._config.top_p,
            top_k=self._config.top_k,
            seed=one.seed,
        )

    def problem(self) -> Mapping[str, Any] | None:
        """Why the server can't be asked any more."""
        if self._problem is None:
            return None
        sentence = self._problem.args[0]
        return {"code": self._problem.code, "sentence": sentence, "parts": parts_of(sentence)}

    def close(self) -> None:
        """End the connections."""
        self._client.close()
        self._once.close()


def _drawn(reply: Reply) -> Draw:
    return Draw(
        text=reply.text,
        finish_reason=reply.finish_reason,
        tokens=reply.completion_tokens,
        prompt_tokens=reply.prompt_tokens,
        logprob=reply.logprob,
    )
