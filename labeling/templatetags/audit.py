"""The log's deeds in words; the codes themselves are what programs read."""

from typing import Final

from django import template
from django.utils.translation import gettext_lazy as _

register = template.Library()

DEEDS: Final = {
    "account.activate": _("let an account sign in again"),
    "account.create": _("made an account"),
    "account.deactivate": _("switched an account off"),
    "account.erase": _("erased a person"),
    "account.first_password": _("chose the first password"),
    "account.grant_admin": _("gave the rights of a site admin"),
    "account.password": _("changed the password"),
    "account.reset_password": _("made a link for a new password"),
    "account.revoke_admin": _("took back the rights of a site admin"),
    "account.update": _("changed own settings"),
    "assignment.skip": _("skipped a comparison"),
    "candidate.flag": _("kept a candidate from annotators"),
    "candidate.unflag": _("let annotators see a candidate"),
    "comparison.withdraw": _("withdrew a comparison"),
    "comparisons.queue": _("queued comparisons"),
    "comparisons.withdraw": _("withdrew comparisons"),
    "contest.end": _("a contest of two policies ended"),
    "contest.open": _("asked people which of two policies is better"),
    "contest.withdraw": _("ended a contest of two policies by hand"),
    "constitution.publish": _("published a constitution"),
    "demonstration.revise": _("corrected a demonstration"),
    "demonstration.withdraw": _("withdrew a demonstration"),
    "demonstration.write": _("wrote a demonstration"),
    "evaluation.create": _("started an evaluation"),
    "export.request": _("asked for an export"),
    "flag_set.publish": _("published flags"),
    "gold.set": _("set a known answer"),
    "gold.withdraw": _("withdrew a known answer"),
    "guideline.publish": _("published guidelines"),
    "guideline.read": _("read the guidelines"),
    "import.create": _("imported a file"),
    "judgement.revise": _("revised a judgement"),
    "judgement.submit": _("judged a comparison"),
    "loop.configure": _("said how the loop turns"),
    "member.remove": _("removed a member"),
    "member.set": _("gave a member a role"),
    "model.promote": _("made a policy the current one"),
    "model.register": _("registered a model"),
    "model.roll_back": _("rolled back to an earlier policy"),
    "model.share": _("shared a model"),
    "project.create": _("made the project"),
    "project.update": _("changed the project's settings"),
    "revising.create": _("had a model revise its replies"),
    "revisions.take": _("took in a run's revisions"),
    "revisions.withdraw": _("withdrew a run's revisions"),
    "round.cancel": _("cancelled a round"),
    "round.end": _("ended a round"),
    "round.go_on": _("let a round go on"),
    "round.pause": _("paused a round"),
    "round.redo": _("had a step of a round made anew"),
    "round.start": _("started a round"),
    "run.cancel": _("asked to cancel a run"),
    "run.cancelled": _("the run was cancelled"),
    "run.create": _("queued a run"),
    "run.failed": _("the run failed"),
    "run.lost": _("lost a run's worker"),
    "run.release": _("gave a run back to the queue"),
    "run.resume": _("let a run go on"),
    "run.start": _("began a run"),
    "run.stop": _("asked to stop a run"),
    "run.stopped": _("the run was stopped"),
    "run.succeeded": _("the run succeeded"),
    "samples.add": _("took in a run's samples"),
    "sampling.create": _("started sampling"),
    "scoring.create": _("started scoring replies"),
    "snapshot.freeze": _("froze a snapshot"),
    "writing.skip": _("skipped a prompt to write for"),
}


@register.filter
def deed(verb: str) -> str:
    """Return a deed in words; a code that is none of ours stands as it is."""
    return str(DEEDS.get(verb, verb))
