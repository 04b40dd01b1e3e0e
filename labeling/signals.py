"""What other apps may hear of and answer: labelling imports none of them."""

from dataclasses import dataclass

from django.dispatch import Signal

snapshot_frozen = Signal()
"""A snapshot was frozen, in the transaction that froze it. Sent with `snapshot`."""

holders_of_snapshots = Signal()
"""Who holds something that was made from snapshots? Sent with `snapshots`, a list of their ids;
each receiver answers with a list of Holding."""


@dataclass(frozen=True)
class Holding:
    """Something that was made from labels: what it is called, where its page is, and how it is so.

    `is_direct` where it was made from the snapshots themselves, not from something that was.
    """

    name: str
    url: str
    project: str
    is_direct: bool
