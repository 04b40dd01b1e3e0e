"""Registers a model that lies on this machine: `manage.py register_model PROJECT NAME FOLDER`."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from labeling.exceptions import PrefloopError
from labeling.models import Project
from training.models import ModelVersion
from training.services.models import register_model


class Command(BaseCommand):
    """The command; it prints the model's name, version and hash."""

    help = "Register a model (safetensors, config and tokenizer in one folder) with a project."

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the project by its short name."""
        parser.add_argument("project")
        parser.add_argument("name")
        parser.add_argument("folder", type=Path)
        parser.add_argument(
            "--kind", choices=[kind.value for kind in ModelVersion.REGISTRABLE], default="policy"
        )
        parser.add_argument("--note", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        """Register it, or say why not."""
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"There is no project {options['project']!r}.")
        try:
            model = register_model(
                actor=None,
                project=project,
                name=options["name"],
                folder=options["folder"].resolve(),
                kind=options["kind"],
                note=options["note"],
            )
        except PrefloopError as error:
            details = [text for texts in error.errors.values() for text in texts]
            raise CommandError(" ".join([error.message, *details])) from None
        self.stdout.write(f"{model} {model.sha256}")
