"""The sentences that the writing page's script says, in the reader's language."""

from django.utils.translation import gettext as _


def script_words() -> dict[str, str]:
    """Return each sentence by the name that the script knows it by; braces hold values."""
    return _writing() | _sending()


def _writing() -> dict[str, str]:
    return {
        "card": _("New prompt. Write your reply."),
        "correction": _("Your reply is back, to be corrected."),
        "draft": _("Your unfinished reply is back."),
        "empty": _("Nothing is left to write."),
        "blank": _("Write a reply first, or skip the prompt."),
        "words": _("{count} words"),
        "kept": _("Draft kept"),
        "kept_here": _("Draft kept in this browser"),
        "shown": _("Preview."),
        "hidden": _("Back in the text."),
        "outside": _("Out of the text. E takes you back, the question mark shows the keys."),
        "guidelines": _("The guidelines have changed. Your draft is kept:"),
    }


def _sending() -> dict[str, str]:
    return {
        "sending": _("Sending"),
        "failed": _("Not saved (error {status}). Your reply is kept: try again."),
        "offline": _(
            "Not sent: the server can't be reached. Your reply is kept and will be sent again."
        ),
        "signed_out": _(
            "You are signed out. Your reply is kept: sign in in another tab, then submit again."
        ),
        "lost": _("Your lease on this prompt has ended. You can still submit: the reply is kept."),
        "delivered": _("A reply that had waited in this browser was delivered."),
    }
