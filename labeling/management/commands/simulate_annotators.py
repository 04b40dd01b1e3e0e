"""`manage.py simulate_annotators`: rank a project's queue by the demo world's hidden score."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from labeling.demo.gold import GOLD_VERSION
from labeling.demo.world import WORLD_VERSION
from labeling.exceptions import PrefloopError
from labeling.management.commands.import_prompts import acting_user, project_named
from labeling.services.simulation import simulate_annotators


class Command(BaseCommand):
    """Judges through the same services as the browser."""

    help = "Let simulated annotators rank the open comparisons of a project of the demo world."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Describe the options."""
        parser.add_argument("--project", required=True, help="the project's short name")
        parser.add_argument("--annotators", type=int, default=3)
        parser.add_argument("--judgements", type=int, default=120, help="how many in all")
        parser.add_argument("--noise", type=float, default=0.1)
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--careless", type=int, default=0, help="of them, who don't look")

    def handle(self, *args: Any, **options: Any) -> None:
        """Simulate, and print how far the rankings agree with gold."""
        project = project_named(options["project"])
        try:
            report = simulate_annotators(
                actor=acting_user(project),
                project=project,
                annotators=options["annotators"],
                judgements=options["judgements"],
                noise=options["noise"],
                seed=options["seed"],
                careless=options["careless"],
            )
        except PrefloopError as error:
            raise CommandError(f"{error.message} {error.errors or ''}") from None
        self.stdout.write(
            f"world {WORLD_VERSION[:12]}, gold {GOLD_VERSION[:12]}: {report.judgements} judgements,"
            f" {report.pairs} ordered pairs, {report.agreement:.3f} of them as gold has them"
        )
