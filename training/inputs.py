"""What a run of each recipe starts from: a kind of snapshot, and kinds of models."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from labeling.models import Snapshot
from training.models import ModelVersion


@dataclass(frozen=True)
class Inputs:
    """The snapshot's kind, the kinds of a base model, and the kind of model that comes out.

    A run that is `rewarded` replies to prompts of the project while it learns, and a reward model
    judges; its snapshot is optional. A run that `may_be_judged` learns from its snapshot, and may
    be given a reward model that scores its replies to validation prompts.
    """

    snapshot_kind: str
    base_kinds: tuple[str, ...]
    makes: str
    rewarded: bool = False
    may_be_judged: bool = False


_POLICY, _REWARD = ModelVersion.Kind.POLICY.value, ModelVersion.Kind.REWARD.value

INPUTS: Final[dict[str, Inputs]] = {
    "sft": Inputs(Snapshot.Kind.DEMONSTRATIONS.value, (_POLICY,), _POLICY, may_be_judged=True),
    "reward": Inputs(Snapshot.Kind.PREFERENCES.value, (_POLICY, _REWARD), _REWARD),
    "dpo": Inputs(Snapshot.Kind.PREFERENCES.value, (_POLICY,), _POLICY, may_be_judged=True),
    "kto": Inputs(Snapshot.Kind.PREFERENCES.value, (_POLICY,), _POLICY, may_be_judged=True),
    "rloo": Inputs(Snapshot.Kind.DEMONSTRATIONS.value, (_POLICY,), _POLICY, rewarded=True),
    "grpo": Inputs(Snapshot.Kind.DEMONSTRATIONS.value, (_POLICY,), _POLICY, rewarded=True),
    "ppo": Inputs(Snapshot.Kind.DEMONSTRATIONS.value, (_POLICY,), _POLICY, rewarded=True),
}


def needs_base(config: Mapping[str, Any]) -> bool:
    """Return whether the run starts from a model that exists, not from random weights."""
    return bool(config.get("init", "base") == "base")
