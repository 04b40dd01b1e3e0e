"""Reads of constitutions, and of what was revised by them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Prefetch, QuerySet
from django.utils.translation import gettext as _

from labeling.domain.content import text_of
from labeling.domain.rendering import render_text
from labeling.exceptions import NotFound
from labeling.models import Comparison, Project, Prompt
from labeling.models.prompts import State
from training.constitutions.models import (
    Constitution,
    ConstitutionVersion,
    RevisedDemonstration,
    RevisingRun,
)
from training.constitutions.principles import Principle, draw_principle, principles_from
from training.models import ModelVersion, TrainingRun

SHIPPED_NAME = "default"
Row = dict[str, Any]


def constitutions_of(project: Project) -> QuerySet[Constitution]:
    """Return the project's constitutions by name, each with its `versions`, newest first."""
    versions = ConstitutionVersion.objects.select_related("created_by").order_by("-number")
    rows = Constitution.objects.filter(project=project).annotate(version_count=Count("versions"))
    return rows.prefetch_related(Prefetch("versions", queryset=versions)).order_by("name")


def get_constitution(project: Project, pk: int) -> Constitution:
    """Return one constitution of the project. Raises NotFound."""
    found = constitutions_of(project).filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no such constitution in this project."))
    return found


def versions_of(project: Project) -> QuerySet[ConstitutionVersion]:
    """Return all versions of the project's constitutions, by name, newest first."""
    rows = ConstitutionVersion.objects.filter(constitution__project=project)
    return rows.select_related("constitution").order_by("constitution__name", "-number")


def latest_version(project: Project, name: str) -> ConstitutionVersion | None:
    """Return the newest version of the constitution of that name; None where there is none."""
    return versions_of(project).filter(constitution__name=name).first()


def get_version(project: Project, name: str, number: int) -> ConstitutionVersion:
    """Return one version of the constitution of that name. Raises NotFound."""
    found = versions_of(project).filter(constitution__name=name, number=number).first()
    if found is None:
        raise NotFound(_("There is no such version of a constitution in this project."))
    return found


def principles_of(version: ConstitutionVersion) -> list[Principle]:
    """Return the principles of a version, in their order."""
    return principles_from(version.principles)


def drawn_for_comparisons(
    version: ConstitutionVersion, comparison_ids: Collection[int], *, seed: int
) -> dict[int, Row]:
    """Return the principle that is drawn for each comparison, as an AI judge takes it.

    `text` is what it is judged by; the rest says whose words these are.
    """
    principles = principles_of(version)
    said = {"constitution": version.constitution.name, "version": version.number}
    rows = Comparison.objects.filter(pk__in=comparison_ids).values_list("pk", "uid")
    drawn = {pk: draw_principle(seed, str(uid), principles) for pk, uid in rows}
    return {pk: {"text": one.comparison, "key": one.key, **said} for pk, one in drawn.items()}


def principle_rows(run: TrainingRun) -> Iterator[Row]:
    """Yield the principles that a revising run draws from, as rows of its data.jsonl."""
    revising = RevisingRun.objects.select_related("constitution").get(run=run)
    for row in revising.constitution.principles:
        yield {"principle": row}


def revising_of(run: TrainingRun) -> RevisingRun:
    """Return what a run revises, and by what. Raises NotFound for a run of another recipe."""
    rows = RevisingRun.objects.select_related("model", "constitution__constitution")
    found = rows.filter(run=run.pk).first()
    if found is None:
        raise NotFound(_("This run revises nothing."))
    return found


@dataclass(frozen=True)
class ReadChain:
    """A chain as a person reads it: the prompt, the reply, and what followed round by round.

    Each round is `{"key", "principle": Principle or None, "critique", "revision"}`. Replies and
    revisions are sanitized HTML, made for the reading; a critique is plain text.
    """

    prompt: Prompt
    asked: str
    reply: str
    rounds: list[Row]
    is_withdrawn: bool

    @property
    def last(self) -> str:
        """What the chain came to."""
        return str(self.rounds[-1]["revision"])


def revising_runs_of(project: Project, model: ModelVersion) -> QuerySet[RevisingRun]:
    """Return the project's runs in which a model revised its replies, newest first."""
    rows = RevisingRun.objects.filter(run__project=project, model=model)
    return rows.select_related("run", "constitution__constitution").order_by("-run_id")


def chains_of(run: TrainingRun) -> QuerySet[RevisedDemonstration]:
    """Return what became of a revising run, in order, with prompts."""
    rows = RevisedDemonstration.objects.filter(revising_run=run.pk)
    return rows.select_related("demonstration__prompt").order_by("demonstration")


def read_chain(row: RevisedDemonstration, principles: dict[str, Principle]) -> ReadChain:
    """Return a chain with the words of its principles."""
    prompt = row.demonstration.prompt
    rounds = [
        {
            "key": one["principle"],
            "principle": principles.get(one["principle"]),
            "critique": one["critique"]["text"],
            "revision": render_text(one["revision"]["text"]),
        }
        for one in row.chain["rounds"]
    ]
    return ReadChain(
        prompt=prompt,
        asked=text_of(prompt.messages[-1]),
        reply=render_text(row.chain["reply"]["text"]),
        rounds=rounds,
        is_withdrawn=row.demonstration.state != State.ACTIVE,
    )
