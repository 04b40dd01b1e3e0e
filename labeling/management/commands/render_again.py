"""`manage.py render_again`: bring stored HTML to the renderer's present version."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from labeling.domain.rendering import RENDERER_VERSION
from labeling.services.renderings import BATCH, RENDERED, count_stale, render_batch


class Command(BaseCommand):
    """Works in small batches beside the running application; ended, it is begun again."""

    help = "Render stored texts again that an older version of the renderer wrote."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Describe the options."""
        parser.add_argument("--batch", type=int, default=BATCH, help="rows in one transaction")

    def handle(self, *args: Any, **options: Any) -> None:
        """Render model by model and tell how far it is."""
        for model in RENDERED:
            name, total = model._meta.verbose_name_plural, count_stale(model)
            done, last = 0, 0
            while ids := render_batch(model, after=last, limit=options["batch"]):
                done, last = done + len(ids), ids[-1]
                self.stdout.write(f"{name}: {done} of {total}")
            left = count_stale(model)
            self.stdout.write(f"{name}: {done} brought to {RENDERER_VERSION}, {left} left")
