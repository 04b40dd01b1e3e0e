"""Puts the keys of all endpoints under the newest secret: `manage.py relock_endpoint_keys`."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from labeling.exceptions import PrefloopError
from training.endpoints.services import relock_keys


class Command(BaseCommand):
    """The command; it prints how many keys were locked anew."""

    help = (
        "Encrypt the stored keys of endpoints anew, under the first of PREFLOOP_ENDPOINT_SECRETS."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Lock them all, or none and say why."""
        try:
            count = relock_keys(actor=None)
        except PrefloopError as error:
            raise CommandError(error.message) from None
        self.stdout.write(f"{count} keys are under the newest secret.")
