"""Whose replies a round asks about beside those of its own policies: outside models, people."""

from collections import defaultdict

from django.utils.translation import gettext

from labeling.models import Project
from labeling.selectors.prompts import select_prompts
from labeling.services.references import add_references, each_reference
from training.endpoints.selectors import outside_model
from training.models import SamplingRun
from training.rounds.loops import Loop
from training.rounds.models import Round, RoundStep
from training.rounds.selectors import loop_of, standing_steps


def missing_source(project: Project, loop: Loop, *, seed: int) -> str:
    """Return which source of replies a round of that seed would lack; empty where it lacks none."""
    counts = loop.config.replies_by_source()
    if counts["outside"] and outside_model(project, loop.config.outside) is None:
        said = gettext(
            "This project may ask no outside model {name}: an administrator offers one, or set "
            "share_outside to 0."
        )
        return said.format(name=repr(loop.config.outside))
    if not counts["human"]:
        return ""
    prompts = select_prompts(
        project,
        tags=loop.config.tag_names,
        exclude_tags=loop.config.excluded_tag_names,
        limit=loop.config.prompts or None,
        seed=seed,
    )
    written: dict[int, set[str]] = defaultdict(set)
    sampled = sum(counts.values()) - counts["human"]
    for row in each_reference(project, [prompt.pk for prompt in prompts]):
        written[row.prompt_id].add(row.content_hash)
        most = min(counts["human"], len(written[row.prompt_id]))
        if sampled + most >= project.candidates_per_comparison:
            return ""  # one prompt with enough of them will do: there may be very many
    if not written:
        return gettext(
            "Nobody has written a reply to these prompts yet: have some written, import "
            "demonstrations, or set share_human to 0."
        )
    return gettext(
        "People have written too few replies to these prompts to fill a comparison: have more "
        "written, import demonstrations, or lower share_human."
    )


def human_references(round: Round) -> set[int]:
    """Return the candidates of this round that people wrote as demonstrations.

    A prompt to which nobody wrote has fewer replies than the others.
    """
    count = loop_of(round).config.replies_by_source()["human"]
    steps = standing_steps(round, RoundStep.Kind.SAMPLE)
    if not count or not steps:
        return set()
    return add_references(
        actor=round.created_by,
        project=round.project,
        prompt_ids=SamplingRun.objects.get(run=steps[0].run_id).prompt_ids,
        count=count,
        seed=round.seed,
        before=round.created_at,
    )
