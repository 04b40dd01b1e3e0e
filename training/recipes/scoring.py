"""Scores from a reward model: for a recipe's own metrics, and for others with a model's folder."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from training import rundir
from training.recipes.data import Encoder, Ids, Messages
from training.recipes.loading import load_members, load_tokenizer, need_template


class Scorer:
    """A reward model that reads the score at the last token that is no padding.

    With `others`, the further members of an ensemble, a score is the mean of theirs.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        batch_size: int = 32,
        *,
        others: Sequence[PreTrainedModel] = (),
    ) -> None:
        self._members: list[Any] = [model, *others]
        for member in self._members:
            member.train(False)
        self._pad = int(tokenizer.pad_token_id)
        self._batch_size = batch_size
        self.encoder = Encoder(tokenizer, int(model.config.max_position_embeddings))

    def score_ids(self, sequences: Sequence[Ids]) -> list[float]:
        """One score for each sequence of prompt and reply, in the order given."""
        each = self.score_each(sequences)
        return [fmean(scores) for scores in zip(*each, strict=True)]

    def score_each(self, sequences: Sequence[Ids]) -> list[list[float]]:
        """The scores of each member, each as `score_ids` gives them."""
        return [self._scores(member, sequences) for member in self._members]

    @torch.no_grad()
    def _scores(self, model: Any, sequences: Sequence[Ids]) -> list[float]:
        order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
        scores = [0.0] * len(sequences)
        for start in range(0, len(order), self._batch_size):
            picked = order[start : start + self._batch_size]
            ids, mask = pad_right([sequences[index] for index in picked], self._pad)
            ids, mask = ids.to(model.device), mask.to(model.device)
            found = model(input_ids=ids, attention_mask=mask).logits.float().squeeze(-1)
            for index, value in zip(picked, found.tolist(), strict=True):
                scores[index] = value
        return scores

    def score(self, exchanges: Sequence[tuple[Messages | str, str]]) -> list[float]:
        """One score for each prompt and reply; Dropped for a text that can't be encoded."""
        ids = []
        for prompt, reply in exchanges:
            head = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
            start, end = self.encoder.exchange(head, [{"role": "assistant", "content": reply}])
            ids.append(start + end)
        return self.score_ids(ids)


def load_judge(
    path: Path, tokenizer: PreTrainedTokenizerBase, *, device: torch.device, batch_size: int
) -> Scorer:
    """The reward model in a folder, all members of an ensemble, as the judge of a policy.

    Raises RunFolderError if it reads other tokens than the policy.
    """
    need_one_tokenizer(tokenizer, path)
    networks: list[Any] = load_members(path, tokenizer)
    first, *others = [network.to(device=device) for network in networks]
    return Scorer(first, tokenizer, batch_size, others=others)


def need_one_tokenizer(tokenizer: PreTrainedTokenizerBase, reward: Path) -> None:
    """RunFolderError where policy and reward model don't read the same tokens."""
    other = load_tokenizer(reward)
    same = tokenizer.get_vocab() == other.get_vocab()
    if not same or tokenizer.chat_template != other.chat_template:
        raise rundir.RunFolderError(
            f"The reward model in {reward} reads other tokens than the policy: train a reward "
            "model from this policy, or from one of its ancestors."
        )


def suffix_of(encoder: Encoder, ends: Collection[int]) -> Ids:
    """What the template writes after a reply's end mark, and a policy never does.

    `ends` are the tokens that end a reply.
    """
    user, reply = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
    ids = encoder.exchange([user], [reply])[1]
    places = [place for place, token in enumerate(ids) if token in ends]
    return ids[places[-1] + 1 :] if places else []


def longest_text(
    scorer: Scorer,
    suffix: Ids,
    *,
    max_length: int,
    models: Iterable[Any],
    new_tokens: int = 1,
) -> int:
    """The longest prompt with its reply, in tokens, for which all have room.

    `models` write or read it; the reward model reads it with the suffix that `suffix_of` says.
    Raises RunFolderError where replies of `new_tokens` leave no room for a prompt.
    """
    limits = [getattr(model.config, "max_position_embeddings", max_length) for model in models]
    most = min(max_length, scorer.encoder.max_length, *limits)
    longest = most - len(suffix)
    if longest <= new_tokens:
        raise rundir.RunFolderError(
            f"No room is left for a prompt: a text may have {most} tokens, of which the reply "
            f"takes {new_tokens} and the template's end {len(suffix)}. Raise max_length, let "
            "replies be shorter, or take a policy and a reward model with more positions."
        )
    return longest


def pad_right(sequences: Sequence[Ids], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and attention mask of shape (sequences, longest)."""
    longest = max(len(sequence) for sequence in sequences)
    ids = [[*sequence, *[pad] * (longest - len(sequence))] for sequence in sequences]
    mask = [[1] * len(sequence) + [0] * (longest - len(sequence)) for sequence in sequences]
    return torch.tensor(ids), torch.tensor(mask)


def score(
    model: Path, exchanges: Sequence[tuple[Messages | str, str]], *, batch_size: int = 32
) -> list[float]:
    """Scores of replies to prompts from the reward model in a folder.

    A prompt is a text or a list of messages. Raises RunFolderError if the folder holds a policy,
    Dropped if a text is too long for the model or has one of its marks written in it.
    """
    tokenizer = load_tokenizer(model)
    need_template(tokenizer, model)
    networks: list[Any] = load_members(model, tokenizer)
    for network in networks:
        network.to(device="cuda" if torch.cuda.is_available() else "cpu")
    first, *others = networks
    return Scorer(first, tokenizer, batch_size, others=others).score(exchanges)
