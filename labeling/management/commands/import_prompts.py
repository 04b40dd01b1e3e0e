"""`manage.py import_prompts PROJECT FILE`: take a file of K-way JSON Lines, all or nothing."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from labeling.exceptions import PrefloopError
from labeling.models import ImportBatch, Project, Role, User
from labeling.services.imports import create_import, run_import


def project_named(slug: str) -> Project:
    """Return the project of that short name; a CommandError lists those that there are."""
    project = Project.objects.filter(slug=slug).first()
    if project is None:
        names = ", ".join(Project.objects.values_list("slug", flat=True)) or "none yet"
        raise CommandError(f"There is no project {slug!r}. Projects: {names}.")
    return project


def acting_user(project: Project) -> User:
    """Return the owner in whose name a command acts."""
    owner = project.memberships.filter(role=Role.OWNER).select_related("user").first()
    if owner is None:
        raise CommandError(f"Project {project.slug!r} has no owner to act for.")
    return owner.user


class Command(BaseCommand):
    """Does what the upload page does, in this process."""

    help = "Import prompts with candidates, rankings or demonstrations from a JSON Lines file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Describe the arguments."""
        parser.add_argument("project", help="the project's short name")
        parser.add_argument("file", type=Path)
        parser.add_argument("--source", default="", help="name for the annotator of its rankings")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import, print the report, and fail where the file was refused."""
        project = project_named(options["project"])
        path: Path = options["file"]
        if not path.is_file():
            raise CommandError(f"There is no file {path}.")
        try:
            with path.open("rb") as file:
                batch = create_import(
                    actor=acting_user(project),
                    project=project,
                    file_name=path.name,
                    chunks=iter(lambda: file.read(1 << 20), b""),
                    source_name=options["source"],
                )
        except PrefloopError as error:
            raise CommandError(f"{error.message} {error.errors or ''}") from None
        self._print(run_import(batch_id=batch.pk))

    def _print(self, batch: ImportBatch) -> None:
        report = batch.report
        if batch.state != ImportBatch.State.SUCCEEDED:
            for row in report["refused"]:
                self.stderr.write(f"line {row['line']}: {row['field']}: {row['reason']}")
            raise CommandError(f"Refused whole: {report['refused_total']} lines can't be taken.")
        self.stdout.write(
            ", ".join(f"{key} {report[key]}" for key in report if not key.startswith("refused"))
        )
