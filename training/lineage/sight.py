"""Whose things a reader may be told of: a family reaches into projects that they are no part of."""

from dataclasses import dataclass
from functools import cached_property

from django.utils.translation import gettext as _

from labeling.models import Membership, Project, Snapshot, User
from labeling.permissions import ALLOWED
from training.models import ModelVersion, TrainingRun

Thing = ModelVersion | Snapshot | TrainingRun


@dataclass(frozen=True)
class Sight:
    """What somebody sees from one project; two reads at most, none where all is the project's."""

    reader: User
    project: Project

    def reads(self, thing: Thing) -> bool:
        """Return whether the reader may read the thing in the project that it is of."""
        own = thing.project_id == self.project.pk
        return own or self.reader.is_site_admin or thing.project_id in self._projects

    def knows(self, thing: Thing) -> bool:
        """Return whether they may know its name: that of a model shared with the project too."""
        return self.reads(thing) or (
            isinstance(thing, ModelVersion) and thing.pk in self._shared_models
        )

    def name(self, thing: Thing) -> str:
        """Return the thing's name, or in its place that it is another project's."""
        if self.knows(thing):
            return str(thing)
        if isinstance(thing, ModelVersion):
            return _("a model of another project")
        if isinstance(thing, Snapshot):
            return _("a snapshot of another project")
        return _("a run of another project")

    @cached_property
    def _projects(self) -> frozenset[int]:
        rows = Membership.objects.filter(user=self.reader, role__in=ALLOWED["model.view"])
        return frozenset(rows.values_list("project_id", flat=True))

    @cached_property
    def _shared_models(self) -> frozenset[int]:
        return frozenset(self.project.shared_models.values_list("pk", flat=True))
