"""Measures how fast this machine trains: `manage.py measure_machine`."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from labeling.exceptions import PrefloopError
from training.measuring import measure


class Command(BaseCommand):
    """The command; run it on each machine that trains, while it is idle."""

    help = "Measure how fast this machine trains, for the estimates that the start form shows."

    def handle(self, *args: Any, **options: Any) -> None:
        """Measure, and print what was found."""
        try:
            machine = measure(again=True)
        except PrefloopError as error:
            raise CommandError(str(error)) from None
        for device in machine.devices:
            for speed in device.speeds:
                width, rate = max(speed.learning)
                self.stdout.write(
                    f"{device.name}: {rate / 1e9:,.0f} GFLOP/s at width {width:.0f}, "
                    f"{speed.precision}, threads {speed.threads or 'all'}"
                )
