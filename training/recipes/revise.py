"""Critique and revision by a constitution: `python -m training.recipes.revise <run folder>`.

The supervised stage of Constitutional AI (2212.08073, section 3.1): the policy replies to a prompt,
is asked to criticize its reply by a principle, and then to write it again; its revision takes the
reply's place in the next round, with another principle. The paper shows a few worked examples
before each request; here the request stands alone.

A step is a batch of prompts with all their rounds, short prompts first. After it a checkpoint says
how much of revisions.jsonl is whole; a run that goes on keeps that and repeats nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from training import rundir
from training.configs import ReviseConfig, SampleConfig
from training.constitutions.principles import Principle, draw_principle, principles_from
from training.recipes.data import Dropped, Encoder, Ids, Messages, read_rows
from training.recipes.generation import Drawn, Sampler, load_sampler
from training.recipes.replying import Lines, Prompt, candidate_seed, read_prompts
from training.recipes.running import Run, StopSignal, logger, needed_model, open_run, write_result

Row = dict[str, Any]


@dataclass(kw_only=True)
class Chain:
    """One prompt on its way: its reply, and the critiques and revisions that followed.

    `dropped` says why it went no further; what was written until then stays.
    """

    prompt: Prompt
    reply: Drawn | None = None
    rounds: list[Row] = field(default_factory=list)
    latest: str = ""
    dropped: Row | None = None

    def drop(self, reason: str, round: int) -> None:
        """End the chain before its last revision."""
        self.dropped = {"reason": reason, "round": round}

    def row(self, fixed: Row) -> Row:
        """Return the chain as a line of revisions.jsonl."""
        reply = asdict(self.reply) if self.reply else None
        who = {"prompt_id": self.prompt.prompt_id, "reply": reply}
        return {**who, "rounds": self.rounds, "dropped": self.dropped, **fixed}


class Reviser:
    """Carries chains through their rounds, in batches."""

    def __init__(
        self,
        sampler: Sampler,
        encoder: Encoder,
        principles: Sequence[Principle],
        config: ReviseConfig,
        seed: int,
    ) -> None:
        self._sampler = sampler
        self._encoder = encoder
        self._principles = principles
        self._config = config
        self._seed = seed

    def revise(self, prompts: Sequence[Prompt]) -> list[Chain]:
        """Return a chain for each prompt, whole or dropped."""
        chains = [Chain(prompt=prompt) for prompt in prompts]
        drawn = self._draw(chains, [one.ids for one in prompts], 0)
        for chain, reply in zip(chains, drawn, strict=True):
            chain.reply, chain.latest = reply, reply.text
            if not reply.text.strip():
                chain.drop("empty_reply", 0)
        for round in range(1, self._config.rounds + 1):
            self._round([chain for chain in chains if not chain.dropped], round)
        return chains

    def _round(self, chains: Sequence[Chain], round: int) -> None:
        """Have each latest reply criticized by a principle of its own, then revised."""
        drawn = {id(chain): self._principle(chain, round) for chain in chains}
        asked = [(c, _asked_to_criticize(c, drawn[id(c)].critique)) for c in chains]
        critiques = self._answers(asked, round, 2 * round - 1)
        asked = []
        for chain, said, critique in critiques:
            principle = drawn[id(chain)]
            chain.rounds.append({"principle": principle.key, "critique": asdict(critique)})
            if critique.text.strip():
                turns = [_says("assistant", critique.text), _says("user", principle.revision)]
                asked.append((chain, [*said, *turns]))
            else:
                chain.drop("empty_critique", round)
        for chain, _said, revision in self._answers(asked, round, 2 * round):
            chain.rounds[-1]["revision"] = asdict(revision)
            chain.latest = revision.text
            if not revision.text.strip():
                chain.drop("empty_revision", round)
            elif revision.finish_reason != "stop" and not self._config.keeps_cut:
                chain.drop("cut_off", round)

    def _principle(self, chain: Chain, round: int) -> Principle:
        key = f"{chain.prompt.prompt_id}:{round}"
        return draw_principle(self._seed, key, self._principles)

    def _answers(
        self, asked: Iterable[tuple[Chain, Messages]], round: int, nth: int
    ) -> list[tuple[Chain, Messages, Drawn]]:
        """Return what is said to each conversation; chains whose can't be encoded are dropped."""
        kept: list[tuple[Chain, Messages, Ids]] = []
        for chain, messages in asked:
            try:
                kept.append((chain, messages, self._encoder.prompt(messages)))
            except Dropped as reason:
                chain.drop(str(reason), round)
        kept.sort(key=lambda one: (len(one[2]), one[0].prompt.prompt_id))
        drawn = self._draw([one[0] for one in kept], [one[2] for one in kept], nth)
        return [(one[0], one[1], said) for one, said in zip(kept, drawn, strict=True)]

    def _draw(self, chains: Sequence[Chain], ids: Sequence[Ids], nth: int) -> list[Drawn]:
        """Draw the nth text of each chain, from a stream of its own."""
        if not chains:
            return []
        seeds = [candidate_seed(self._seed, chain.prompt.prompt_id, nth) for chain in chains]
        return self._sampler.draw(ids, seeds)


def _says(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _asked_to_criticize(chain: Chain, request: str) -> Messages:
    """The prompt, what now stands for its reply, and the request."""
    turns = [_says("assistant", chain.latest), _says("user", request)]
    return [*chain.prompt.messages, *turns]


def main(arguments: list[str] | None = None) -> None:
    """Revise the replies that the run asks for and leave them in revisions.jsonl."""
    run = open_run("revise", arguments)
    stop = StopSignal(run.folder)
    config = cast(ReviseConfig, run.config)
    model = needed_model(run)
    sampler, encoder = load_sampler(model, _sampling(config))
    principles = read_principles(run)
    prompts, data = read_prompts(run, encoder, (r for r in read_rows(run.folder) if "prompt" in r))
    logger.info("data: %s, principles: %s", data, len(principles))
    reviser = Reviser(sampler, encoder, principles, config, run.seed)
    size = config.batch_size
    batches = [prompts[at : at + size] for at in range(0, len(prompts), size)]
    fixed = {"model_sha256": rundir.weights_sha256(model)}
    lines = Lines(run, rundir.REVISIONS)
    done, reason = lines.go_on(), None
    for step, batch in enumerate(batches[done:], start=done + 1):
        values = write_batch(lines, reviser.revise, batch, fixed)
        rundir.append_metric(run.folder, step=step, total=len(batches), values=values)
        done, reason = step, stop.reason()
        if step % config.checkpoint_steps == 0 or reason or step == len(batches):
            lines.checkpoint(step)
        if reason:
            break
    conclude(run, lines, data, len(principles), done=done, total=len(batches), reason=reason)


def _sampling(config: ReviseConfig) -> SampleConfig:
    """How a reply, a critique and a revision are drawn."""
    shared = ("device", "precision", "threads", "max_length", "temperature", "top_p", "top_k")
    values = {name: getattr(config, name) for name in (*shared, "max_new_tokens", "batch_size")}
    return SampleConfig(candidates_per_prompt=1, **values)


def read_principles(run: Run) -> list[Principle]:
    """Return the principles that lie in the run's rows; RunFolderError where there is none."""
    rows = [row["principle"] for row in read_rows(run.folder) if "principle" in row]
    if not rows:
        raise rundir.RunFolderError(f"{rundir.DATA} holds no principle: prepare it again.")
    return principles_from(rows)


def write_batch(
    lines: Lines,
    revise: Callable[[Sequence[Prompt]], list[Chain]],
    batch: Sequence[Prompt],
    fixed: Row,
) -> dict[str, float]:
    """Revise a batch and write it down; returns what was measured of it."""
    start = time.monotonic()
    rows = [chain.row(fixed) for chain in revise(batch)]
    spent = time.monotonic() - start
    lines.append(rows)
    tokens = sum(text["tokens"] for row in rows for text in _texts(row))
    whole = sum(not row["dropped"] for row in rows)
    return {
        "chains": len(rows),
        "whole": whole,
        "tokens": tokens,
        "tokens_per_s": tokens / max(spent, 1e-9),
    }


def _texts(row: Row) -> list[Row]:
    """Everything that was drawn in a chain."""
    rounds = [
        one[name] for one in row["rounds"] for name in ("critique", "revision") if name in one
    ]
    return [row["reply"], *rounds]


def conclude(
    run: Run,
    lines: Lines,
    data: Row,
    principles: int,
    *,
    done: int,
    total: int,
    reason: str | None,
) -> None:
    """Write the result; RunFolderError where every chain was dropped, which is a run in vain."""
    rows = list(lines.read())
    whole = [row for row in rows if not row["dropped"]]
    lost = Counter(row["dropped"]["reason"] for row in rows if row["dropped"])
    complete = done == total
    if complete and not whole:
        raise rundir.RunFolderError(
            f"No chain came to its last revision (left out: {dict(lost)}): raise max_length or "
            f"max_new_tokens, shorten the principles, or set keeps_cut to true."
        )
    dropped = Counter(data["dropped"]) + lost
    write_result(
        run,
        status="succeeded" if complete else "stopped",
        steps=done,
        total=total,
        metrics=_summary(rows, whole),
        data={**data, "principles": principles, "chains": len(whole), "dropped": dict(dropped)},
        extra={
            "revisions": {"path": str(lines.path), "sha256": rundir.file_sha256(lines.path)},
            "reason": None if complete else reason,
        },
    )


def _summary(rows: Sequence[Row], whole: Sequence[Row]) -> dict[str, float]:
    """How many chains came to their end, and how long replies and last revisions are, in tokens."""
    count = max(len(whole), 1)
    return {
        "chains": len(rows),
        "whole": len(whole),
        "tokens": sum(text["tokens"] for row in rows for text in _texts(row)),
        "reply_tokens": sum(row["reply"]["tokens"] for row in whole) / count,
        "revision_tokens": sum(row["rounds"][-1]["revision"]["tokens"] for row in whole) / count,
        "unchanged": sum(row["reply"]["text"] == _last(row) for row in whole) / count,
    }


def _last(row: Row) -> str:
    return str(row["rounds"][-1]["revision"]["text"])


if __name__ == "__main__":
    main()
