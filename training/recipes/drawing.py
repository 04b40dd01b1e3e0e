"""Which replies are still to be drawn, and what they come to, whoever draws them.

Everything drawn is a line of draws.jsonl and stays there. A reply whose text is that of another one
to its prompt is drawn again, by another seed, a bounded number of times; so what is to be drawn
next follows from the lines alone, and a run that goes on asks for nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from training import rundir
from training.recipes.data import Ids, Messages
from training.recipes.replying import Lines, Prompt, candidate_seed

Row = dict[str, Any]
Key = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One reply to draw; `draw` counts how often it was drawn before."""

    prompt_id: str
    candidate: int
    draw: int
    messages: Messages
    ids: Ids
    seed: int

    @property
    def key(self) -> Key:
        """What the reply is known by."""
        return self.prompt_id, self.candidate


@dataclass(frozen=True, kw_only=True)
class Draw:
    """One reply as it came. What a back-end does not know is None: counts of tokens, and sums of
    log-probabilities in nats (drawn from, and under the model itself). `left_out` says why there is
    no reply at all.
    """

    text: str = ""
    finish_reason: str = ""
    tokens: int | None = None
    prompt_tokens: int | None = None
    logprob: float | None = None
    model_logprob: float | None = None
    left_out: str | None = None


class Backend(Protocol):
    """What draws replies: a model in this process, an engine, or a server elsewhere.

    `batch_size` replies lie between two points from which a run goes on; `by_line` tells that each
    line stands for itself, so that those of a batch that was cut short are kept too. `fixed` stands
    in every line.
    """

    batch_size: int
    by_line: bool
    fixed: Mapping[str, Any]

    def prompts(self) -> tuple[list[Prompt], dict[str, Any]]:
        """Every prompt of the run, and what result.json says of the rows."""
        ...

    def draw(self, batch: Sequence[Asked]) -> Iterator[tuple[Asked, Draw]]:
        """Yield the replies as they come, in any order; it may end early where it has to."""
        ...

    def problem(self) -> Mapping[str, Any] | None:
        """Why it can't draw any more, if that is so: `code`, `sentence` and its `parts`."""
        ...

    def close(self) -> None:
        """Let go of whatever it holds."""
        ...


@dataclass
class Drawing:
    """The replies of a run: what was asked for, what came, what is wanted next."""

    prompts: Sequence[Prompt]
    candidates: int
    redraws: int
    seed: int
    rows: dict[Key, list[Row]] = field(default_factory=dict)

    def take(self, row: Row) -> None:
        """Count a line of draws.jsonl."""
        self.rows.setdefault((row["prompt_id"], row["candidate"]), []).append(row)

    def wanted(self) -> list[Asked]:
        """What is to be drawn now, short prompts first; nothing once all is there."""
        for draw in range(self.redraws + 1):
            found = list(self._wanted_at(draw))
            if found:
                return found
        return []

    def _wanted_at(self, draw: int) -> Iterator[Asked]:
        for prompt in self.prompts:
            if draw == 0:
                wanted = set(range(self.candidates))
            else:
                wanted = self._repeated(prompt.prompt_id, before=draw)
            for nth in sorted(wanted):
                have = self.rows.get((prompt.prompt_id, nth), ())
                if not any(row["draw"] == draw for row in have):
                    yield self._asked(prompt, nth, draw)

    def _asked(self, prompt: Prompt, nth: int, draw: int) -> Asked:
        name = prompt.prompt_id if draw == 0 else f"{prompt.prompt_id}:again-{draw}"
        return Asked(
            prompt_id=prompt.prompt_id,
            candidate=nth,
            draw=draw,
            messages=prompt.messages,
            ids=prompt.ids,
            seed=candidate_seed(self.seed, name, nth),
        )

    def _repeated(self, prompt_id: str, *, before: int) -> set[int]:
        """Which replies to a prompt, of those drawn before a draw, have the text of an earlier."""
        seen: set[str] = set()
        repeated: set[int] = set()
        for nth in range(self.candidates):
            rows = [
                row
                for row in self.rows.get((prompt_id, nth), ())
                if row["draw"] < before and not row["left_out"]
            ]
            if not rows:
                continue
            text = max(rows, key=lambda row: row["draw"])["text"]
            if text in seen:
                repeated.add(nth)
            seen.add(text)
        return repeated

    def samples(self) -> Iterator[Row]:
        """The lines of samples.jsonl: each reply as it was drawn last, marked, with all it took."""
        for prompt in self.prompts:
            repeated = self._repeated(prompt.prompt_id, before=self.redraws + 1)
            for nth in range(self.candidates):
                rows = self.rows.get((prompt.prompt_id, nth), [])
                kept = [row for row in rows if not row["left_out"]]
                if kept:
                    last = max(kept, key=lambda row: row["draw"])
                    marks = _marks(last, repeated=nth in repeated)
                    yield {**last, "marks": marks, "draws": len(rows), "usage": _usage(rows)}

    def summary(self) -> dict[str, float]:
        """What the replies come to; tokens are those of all draws, whether kept or not."""
        samples = list(self.samples())
        every = [row for rows in self.rows.values() for row in rows]
        marks = [mark for row in samples for mark in row["marks"]]
        found: dict[str, float] = {
            "samples": len(samples),
            **{name: marks.count(name) for name in ("empty", "cut", "repeated")},
            "redrawn": sum(row["draw"] > 0 for row in every),
            "left_out": sum(bool(row["left_out"]) for row in every),
            **_usage(every),
        }
        return found | means(samples)


def _marks(row: Row, *, repeated: bool) -> list[str]:
    """What is to be known of a reply before it is used."""
    found = {
        "empty": not row["text"].strip(),
        "cut": row["finish_reason"] == "length",
        "repeated": repeated,
    }
    return [name for name, is_so in found.items() if is_so]


def _usage(rows: Sequence[Row]) -> dict[str, int]:
    """Tokens that were read and written; a server may count neither."""
    return {
        "prompt_tokens": sum(row["prompt_tokens"] or 0 for row in rows),
        "completion_tokens": sum(row["tokens"] or 0 for row in rows),
    }


def means(rows: Sequence[Row]) -> dict[str, float]:
    """Length, share that ended by itself, and log-probability of a reply, on the average."""
    count = max(len(rows), 1)
    found = {"stop_rate": sum(row["finish_reason"] == "stop" for row in rows) / count}
    for name, source in (("mean_tokens", "tokens"), ("mean_logprob", "logprob")):
        known = [row[source] for row in rows if row[source] is not None]
        if known:
            found[name] = sum(known) / len(known)
    return found


def line(one: Asked, came: Draw, fixed: Mapping[str, Any]) -> Row:
    """A line of draws.jsonl."""
    return {
        "prompt_id": one.prompt_id,
        "candidate": one.candidate,
        "draw": one.draw,
        "completion": [{"role": "assistant", "content": came.text}],
        **asdict(came),
        "seed": one.seed,
        **fixed,
    }


def write_samples(lines: Lines, drawing: Drawing) -> None:
    """Write samples.jsonl, whole or not at all."""
    path = lines.path.with_name(rundir.SAMPLES)
    rundir.write_lines_atomic(path, drawing.samples())
