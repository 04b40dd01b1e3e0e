"""The sentences that the ranking page's script says, in the reader's language."""

from django.utils.translation import gettext as _


def script_words() -> dict[str, str]:
    """Return each sentence by the name that the script knows it by; braces hold values."""
    return _ranking() | _other_answers() | _reading() | _sending()


def _ranking() -> dict[str, str]:
    return {
        "card": _("New comparison: {count} replies."),
        "placed": _("Reply {reply} placed at rank {rank}."),
        "tied": _("Reply {reply} placed at rank {rank}, tied with {others}."),
        "unplaced": _("Reply {reply} taken back: not placed."),
        "missing": _("Not placed yet: {replies}."),
        "ready": _("All placed. Press Enter to submit."),
        "count": _("{placed} of {count} placed"),
        "empty": _("Nothing is left to rank."),
        "draft": _("Your unfinished ranking is back."),
        "back": _("{count} back: a judgement you made. Change it, or press Escape to return."),
        "no_further": _("There is no earlier judgement of yours to change."),
        "revised": _("Your change is saved."),
        "submitted": _("Submitted."),
        "skipped": _("Skipped."),
    }


def _other_answers() -> dict[str, str]:
    return {
        "chosen": _("{label}: chosen."),
        "missing_line": _("Choose a point on the line first."),
        "missing_ratings": _("Not rated yet: {replies}."),
        "missing_confidence": _("Say how sure you are first."),
        "rated": _("{placed} of {count} rated"),
        "stage_rate": _("Rate each reply from 1 to 7."),
        "stage_rank": _("Now rank the replies."),
        "quality": _("Reply {reply}: quality {quality} of 7."),
        "flag_on": _("{flag}: yes."),
        "flag_off": _("{flag}: no."),
    }


def _reading() -> dict[str, str]:
    return {
        "length": _("words"),
        "layout_columns": _("Columns."),
        "layout_rows": _("Rows."),
        "layout_single": _("One reply at a time."),
        "diff_on": _("Showing how the others differ from reply {reply}."),
        "diff_off": _("Differences are off."),
        "same_start": _("The first {count} words are the same in all. Show them"),
    }


def _sending() -> dict[str, str]:
    return {
        "failed": _("Not saved (error {status}). Your ranking is kept: try again."),
        "offline": _(
            "Not sent: the server can't be reached. Your ranking is kept and will be sent again."
        ),
        "signed_out": _(
            "You are signed out. Your ranking is kept: sign in in another tab, then press Enter."
        ),
        "lost": _(
            "Your lease on this comparison has ended. You can still submit: the ranking is kept."
        ),
        "unsent": _("{count} not sent yet"),
    }
