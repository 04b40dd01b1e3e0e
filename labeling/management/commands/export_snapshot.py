"""`manage.py export_snapshot PROJECT NUMBER FILE`: write a snapshot's rows to a file."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from labeling.exceptions import SnapshotChanged
from labeling.management.commands.import_prompts import project_named
from labeling.models import Export
from labeling.services.exports import checked, rows_of, write_file


class Command(BaseCommand):
    """Does what the export button does, to a file of the caller's choice."""

    help = "Export a snapshot as TRL preferences or full K-way rows, JSON Lines or Parquet."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Describe the arguments."""
        parser.add_argument("project", help="the project's short name")
        parser.add_argument("number", type=int, help="the snapshot's number")
        parser.add_argument("file", type=Path, help="ends in .jsonl or .parquet")
        parser.add_argument(
            "--format", choices=Export.Format.values, default=Export.Format.TRL_PREFERENCE
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the file whole, and print its rows and hash."""
        project = project_named(options["project"])
        snapshot = project.snapshots.filter(number=options["number"]).first()
        if snapshot is None:
            raise CommandError(f"{project.slug!r} has no snapshot {options['number']}.")
        path: Path = options["file"]
        container = path.suffix.removeprefix(".")
        if container not in Export.Container.values:
            raise CommandError(f"{path} must end in .jsonl or .parquet.")
        try:
            checked(snapshot)
        except SnapshotChanged as error:
            raise CommandError(error.message) from None
        rows, sha256 = write_file(path, rows_of(snapshot, options["format"]), container)
        self.stdout.write(f"{path}: {rows} rows, sha256 {sha256}")
