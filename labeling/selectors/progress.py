"""Reads of progress: a person's own, and a project's."""

from dataclasses import dataclass

from labeling.models import (
    Annotator,
    Candidate,
    Comparison,
    Judgement,
    PreferencePair,
    Project,
    Prompt,
    User,
)
from labeling.selectors.queue import start_of_today


@dataclass(frozen=True)
class OwnProgress:
    """How much one person has judged."""

    done_today: int
    done_total: int


@dataclass(frozen=True)
class ProjectProgress:
    """How much there is in a project, and how much of it is judged."""

    prompts: int
    candidates: int
    comparisons: int
    open: int
    closed: int
    judgements: int
    pairs: int
    annotators: int

    @property
    def closed_share(self) -> float:
        """The share of comparisons, 0 to 1, whose overlap is met."""
        return self.closed / self.comparisons if self.comparisons else 0.0


def own_progress(user: User, project: Project) -> OwnProgress:
    """Return what the account judged in the project, today in its own time zone and in all."""
    own = Judgement.objects.filter(annotator__user=user, annotator__project=project)
    today = own.filter(created_at__gte=start_of_today())
    return OwnProgress(done_today=today.count(), done_total=own.count())


def project_progress(project: Project) -> ProjectProgress:
    """Return the project's counts."""
    comparisons = Comparison.objects.filter(project=project)
    total = comparisons.count()
    judged = Judgement.objects.filter(comparison__project=project)
    return ProjectProgress(
        prompts=Prompt.objects.filter(project=project).count(),
        candidates=Candidate.objects.filter(prompt__project=project).count(),
        comparisons=total,
        open=comparisons.filter(state=Comparison.State.OPEN).count(),
        closed=comparisons.filter(state=Comparison.State.CLOSED).count(),
        judgements=judged.filter(superseded_by=None).count(),
        pairs=PreferencePair.objects.filter(
            judgement__comparison__project=project, judgement__superseded_by=None
        ).count(),
        annotators=Annotator.objects.filter(project=project).count(),
    )


def recent_judgements(project: Project, *, limit: int = 20) -> list[Judgement]:
    """Return the newest judgements of a project with whoever made them."""
    rows = Judgement.objects.filter(comparison__project=project).order_by("-id")
    return list(rows.select_related("annotator", "annotator__user")[:limit])
