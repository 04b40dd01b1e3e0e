"""Comparisons as an AI judge is given them, one a row of data.jsonl."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training import rundir
from training.recipes.ai_judge import CRITERIA
from training.recipes.data import Dropped, Messages

Row = dict[str, Any]


class LeftOut(Dropped):
    """A comparison on which the judge's answers say nothing; the text is the reason's name."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A comparison to judge: its conversation, its replies by slot, and by what to judge them."""

    comparison_id: str
    messages: Messages
    replies: tuple[str, ...]
    criteria: str
    principle: Mapping[str, Any] | None

    @property
    def size(self) -> int:
        """About how much there is to read, in characters."""
        said = sum(len(message["content"]) for message in self.messages)
        return said + sum(map(len, self.replies))


def case_of(row: Mapping[str, Any]) -> Case:
    """The comparison in a row; a principle of its own goes before the judge's criteria.

    Raises RunFolderError for a row of fewer than two replies.
    """
    replies = tuple(
        "".join(message["content"] for message in messages) for messages in row["replies"]
    )
    if len(replies) < 2:
        raise rundir.RunFolderError(
            f"{rundir.DATA}: comparison {row['comparison_id']} has {len(replies)} replies."
        )
    principle = row.get("principle")
    return Case(
        comparison_id=str(row["comparison_id"]),
        messages=row["prompt"],
        replies=replies,
        criteria=str((principle or {}).get("text") or row.get("criteria") or CRITERIA),
        principle=principle,
    )
