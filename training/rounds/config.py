"""How a project's loop turns: one typed config for the form, the API and YAML.

Whatever a round does is resolved from it when the round starts, so that a later change of the loop
changes no round under way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from labeling.domain.sentences import sentence as _
from training.acquisition.strategies import STRATEGIES
from training.config_fields import (
    Checked,
    FieldSpec,
    option,
    specs_of,
)
from training.configs import PRESETS as RECIPE_PRESETS
from training.rounds.presets import LOOP_PRESETS as LOOP_PRESETS

POLICY_RECIPES: Final = ("dpo", "kto", "ppo", "rloo", "grpo")
REWARDED: Final = ("ppo", "rloo", "grpo")
SHARES: Final = (
    "share_current",
    "share_previous",
    "share_base",
    "share_outside",
    "share_human",
)
MEMBERS: Final = 4
"""Of a reward model by whose members' disagreement is chosen, where the loop says nothing else."""


@dataclass(frozen=True, kw_only=True)
class LoopConfig(Checked):
    """One turn of the loop, in the order in which it happens."""

    prompts: int = option(
        100, "sampling", "Prompts that a round replies to; 0 takes all.", within=(0, 1_000_000)
    )
    tags: str = option(
        "", "sampling", "Tags of the prompts, parted by commas; empty takes prompts of any."
    )
    exclude_tags: str = option(
        "",
        "sampling",
        "Prompts with one of these tags are left alone: nothing is sampled, learned or evaluated "
        "on them.",
    )
    sft: str = option(
        "none",
        "supervised",
        "Fine-tune on demonstrations before anything is sampled: never (none), where the policy "
        "has learned from none yet (once), or in every round (each).",
        choices=("none", "once", "each"),
    )
    sft_from: str = option(
        "all",
        "supervised",
        "Demonstrations to fine-tune on: all, those of people and files (people), or what AI "
        "revised (ai).",
        choices=("all", "people", "ai"),
    )
    constitution: str = option(
        "",
        "supervised",
        "Name of the constitution by which the policy revises replies of its own, to be fine-tuned "
        "on them, and by which AI judges compare pairs; default is the one that comes with "
        "Prefloop, empty uses none.",
    )
    revised_prompts: int = option(
        0,
        "supervised",
        "Prompts whose replies are revised; 0 takes all.",
        within=(0, 1_000_000),
    )
    replies_per_prompt: int = option(
        4,
        "sampling",
        "Replies to each prompt, of all sampled models together.",
        within=(2, 64),
    )
    share_current: float = option(
        1.0, "sampling", "Part of the replies that the current policy writes.", within=(0.0, 1.0)
    )
    share_previous: float = option(
        0.0,
        "sampling",
        "Part of the replies that the policy before the current one writes.",
        within=(0.0, 1.0),
    )
    share_base: float = option(
        0.0,
        "sampling",
        "Part of the replies that the loop's first policy writes.",
        within=(0.0, 1.0),
    )
    share_outside: float = option(
        0.0, "sampling", "Part of the replies that an outside model writes.", within=(0.0, 1.0)
    )
    outside: str = option(
        "",
        "sampling",
        "Name of the outside model, as the project's models have it; its newest version replies.",
    )
    share_human: float = option(
        0.0,
        "sampling",
        "Part of the replies that are demonstrations, written by people; a prompt that has fewer "
        "of them has fewer replies.",
        within=(0.0, 1.0),
    )
    pool_factor: int = option(
        1,
        "choosing",
        "Sample so many times more replies than are asked about, and choose which comparisons are "
        "asked.",
        within=(1, 16),
    )
    strategy: str = option(
        "random",
        "choosing",
        "What is asked first: by chance, or by the reward model of an earlier round what it holds "
        "for nearly equal (margin), where its members disagree (disagreement), or their favourites "
        "(thompson); the last two need an ensemble.",
        choices=STRATEGIES,
    )
    control_share: float = option(
        0.2,
        "choosing",
        "Part of the comparisons that chance chooses beside a strategy, for comparison.",
        within=(0.05, 1.0),
    )
    comparisons_per_prompt: int = option(
        0,
        "choosing",
        "Ask about one prompt at most so often, to pass over others; 0 asks as often about each.",
        within=(0, 1024),
    )
    judges: str = option(
        "people",
        "labelling",
        "Who judges the comparisons: people, AI judges alone (ai), or both; both wait for both, "
        "and what AI says then fills nobody's place.",
        choices=("people", "ai", "both"),
    )
    judge: str = option(
        "", "labelling", "Names of the AI judges, parted by commas; the newest version is asked."
    )
    ai_weight: float = option(
        1.0,
        "labelling",
        "Where both judge, how much an AI judge's ranking counts beside a person's.",
        within=(0.01, 100.0),
    )
    least_certainty: float = option(
        0.5,
        "labelling",
        "Where AI judges alone, people judge what it is less sure of than this, as the mean "
        "probability of the likelier side; 0.5 sends nothing on.",
        within=(0.5, 1.0),
    )
    weak_topics: bool = option(
        False,
        "labelling",
        "Where AI judges alone, people judge the topics on which it is known to agree with people "
        "less than they do with each other.",
    )
    overlap: int = option(1, "labelling", "People who judge each comparison.", within=(1, 50))
    judged_share: float = option(
        1.0,
        "labelling",
        "Go on when this part of the round's comparisons is judged.",
        within=(0.01, 1.0),
    )
    most_days: int = option(
        0,
        "labelling",
        "Go on after so many days with what is judged by then; 0 waits for as long as it takes.",
        within=(0, 365),
    )
    labels: str = option(
        "all",
        "training",
        "Learn from all of the project's judgements, or from those made since the round began.",
        choices=("all", "round"),
    )
    trains_reward: bool = option(
        True, "training", "Train a reward model; PPO, RLOO, GRPO and the evaluation need one."
    )
    policy_recipe: str = option(
        "dpo", "training", "How the next policy learns.", choices=POLICY_RECIPES
    )
    start: str = option(
        "current",
        "training",
        "The next policy starts from the current one, or from the loop's first (base); what it "
        "starts from is also the reference that its KL is measured to.",
        choices=("current", "base"),
    )
    preset: str = option(
        "default", "training", "Preset of the recipes, where they have one of that name."
    )
    evaluation_prompts: int = option(
        0, "evaluation", "Held-out prompts to evaluate on; 0 takes all.", within=(0, 1_000_000)
    )
    evaluation_replies: int = option(
        4, "evaluation", "Replies to each of them, by each policy.", within=(1, 256)
    )
    human_evaluation: int = option(
        0,
        "evaluation",
        "Pairs of the new policy's and the old one's replies that people compare, blind, at most; "
        "it ends sooner where it is decided. 0 asks nobody.",
        within=(0, 2000),
    )
    indifference: float = option(
        0.0,
        "evaluation",
        "Win rates by people that lie this near to one half are no difference: asking ends there.",
        within=(0.0, 0.49),
    )
    promotion: str = option(
        "ask",
        "promotion",
        "Who makes the new policy the current one: a person (ask), or the rule (rule).",
        choices=("ask", "rule"),
    )
    promotion_by: str = option(
        "reward",
        "promotion",
        "By the rule, whose win rate decides: the reward model's, or people's.",
        choices=("reward", "people"),
    )
    least_win_rate: float = option(
        0.5,
        "promotion",
        "By the rule, the win rate's lower end must lie above this.",
        within=(0.0, 1.0),
    )

    def _conflicts(self) -> list[tuple[str, str]]:
        found = super()._conflicts()
        if abs(sum(getattr(self, name) for name in SHARES) - 1) > 1e-6:
            text = _("The shares of the sampled models must add up to 1.")
            found.append(("share_current", text))
        found += self._source_conflicts()
        if self.policy_recipe in REWARDED and not self.trains_reward:
            text = _(
                "{recipe} learns from a reward model's scores: train one, or take dpo.",
                recipe=self.policy_recipe,
            )
            found.append(("trains_reward", text))
        found += self._choosing_conflicts()
        if self.constitution and self.judges == "people" and not self.revises:
            text = _(
                "Nothing would be revised or judged by it: let AI judge, or set sft to once or "
                "each and sft_from to all or ai."
            )
            found.append(("constitution", text))
        if self.judges != "people" and not _names(self.judge):
            text = _("Name the AI judge that is asked, or let people judge.")
            found.append(("judge", text))
        if self.evaluation_prompts == 1:
            text = _("One prompt gives no interval: ask for two or more, or 0 for all.")
            found.append(("evaluation_prompts", text))
        known = sorted({name for presets in RECIPE_PRESETS.values() for name in presets})
        if self.preset not in known:
            text = _(
                "No recipe has a preset {name}: use one of {known}.",
                name=repr(self.preset),
                known=", ".join(known),
            )
            found.append(("preset", text))
        if self.promotion == "rule" and not self.trains_reward:
            text = _("The rule reads the win rate by the reward model: train one, or ask a person.")
            found.append(("promotion", text))
        return found + self._contest_conflicts() + self._routing_conflicts()

    def _routing_conflicts(self) -> list[tuple[str, str]]:
        if self.judges == "ai":
            return []
        text = _("People judge every comparison here: let judges be ai, or leave this alone.")
        given = {"least_certainty": self.least_certainty > 0.5, "weak_topics": self.weak_topics}
        return [(name, text) for name, is_given in given.items() if is_given]

    @property
    def routes(self) -> bool:
        """Return whether some of what AI judged goes on to people."""
        return self.least_certainty > 0.5 or self.weak_topics

    def _contest_conflicts(self) -> list[tuple[str, str]]:
        """Return what the fields about people's comparisons contradict each other in."""
        found: list[tuple[str, str]] = []
        if self.human_evaluation and not self.trains_reward:
            text = _(
                "People compare the replies of the evaluation, which needs a reward model: train "
                "one, or ask nobody (0)."
            )
            found.append(("human_evaluation", text))
        if self.promotion_by == "people" and not self.human_evaluation:
            text = _("Nobody is asked: raise human_evaluation, or go by the reward model.")
            found.append(("promotion_by", text))
        by_people = self.promotion == "rule" and self.promotion_by == "people"
        if by_people and self.least_win_rate > 0.5:
            text = _(
                "People are asked no further once one policy is surely better: leave the least "
                "win rate at 0.5."
            )
            found.append(("least_win_rate", text))
        return found

    @property
    def revises(self) -> bool:
        """Whether replies are revised by the constitution, to be fine-tuned on."""
        return bool(self.constitution) and self.sft != "none" and self.sft_from != "people"

    def _choosing_conflicts(self) -> list[tuple[str, str]]:
        """Return what is wrong with how the loop chooses what is asked first."""
        found: list[tuple[str, str]] = []
        if self.strategy != "random" and not self.trains_reward:
            text = _(
                "{strategy} chooses by a reward model: train one, or choose by chance (random).",
                strategy=self.strategy,
            )
            found.append(("strategy", text))
        if self.strategy != "random" and self.pool_factor == 1:
            text = _("There is nothing to choose from: raise pool_factor, or choose by chance.")
            found.append(("pool_factor", text))
        return found

    @property
    def tag_names(self) -> list[str]:
        """Return the tags as a list."""
        return _names(self.tags)

    @property
    def excluded_tag_names(self) -> list[str]:
        """Return the tags of prompts that are left alone."""
        return _names(self.exclude_tags)

    @property
    def judge_names(self) -> list[str]:
        """Return the AI judges that are asked, each once; none where people judge alone."""
        return [] if self.judges == "people" else list(dict.fromkeys(_names(self.judge)))

    @property
    def label_kinds(self) -> tuple[str, ...]:
        """Return whose labels are learned from, by kinds of annotators; none are all but AI's."""
        if self.judges == "people":
            return ()
        alone = self.judges == "ai" and not self.routes
        return ("ai",) if alone else ("person", "simulated", "imported", "ai")

    @property
    def label_weights(self) -> dict[str, float]:
        """Return by kind of annotator how much a label counts, where it is not 1."""
        both = self.judges == "both" or self.routes
        return {"ai": self.ai_weight} if both else {}

    def _source_conflicts(self) -> list[tuple[str, str]]:
        if self.share_outside and not self.outside.strip():
            return [("outside", _("Name the outside model, or set share_outside to 0."))]
        counts = self.replies_by_source()
        if counts["human"] == sum(counts.values()):
            return [("share_human", _("People alone leave no reply to sample: lower their share."))]
        return []

    def replies_by_source(self) -> dict[str, int]:
        """Return how many replies to a prompt each source writes; they add up (largest remainder).

        A pool to choose from has more of them than are asked about.

        >>> LoopConfig(share_current=0.5, share_base=0.5, replies_per_prompt=5).replies_by_source()
        {'current': 3, 'previous': 0, 'base': 2, 'outside': 0, 'human': 0}
        """
        names = [name.removeprefix("share_") for name in SHARES]
        sampled = self.replies_per_prompt * self.pool_factor
        exact = {name: getattr(self, f"share_{name}") * sampled for name in names}
        counts = {name: int(value) for name, value in exact.items()}
        missing = sampled - sum(counts.values())
        for name in sorted(names, key=lambda name: counts[name] - exact[name])[:missing]:
            counts[name] += 1
        return counts


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def loop_specs() -> list[FieldSpec]:
    """Return what a form needs to know of a loop's fields."""
    return specs_of(LoopConfig)
