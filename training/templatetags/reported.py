"""What recipes report by short names, in words: they know no translation."""

from typing import Final

from django import template
from django.utils.translation import gettext_lazy as _

register = template.Library()

_WORDS: Final = {
    "rows": _("rows"),
    "train": _("train"),
    "validation": _("validation"),
    "test": _("test"),
    "prompts": _("prompts"),
    "reference": _("demonstrations to centre on"),
    "pairs": _("pairs"),
    "tied_pairs": _("tied pairs"),
    "replies_empty_reply": _("single replies: empty"),
    "replies_special_token_in_text": _("single replies: special token in the text"),
    "replies_template_changes_prompt": _("single replies: the chat template changes the prompt"),
    "replies_too_long": _("single replies: too long"),
    "ignored_weights": _("weights ignored"),
    "duplicate": _("duplicate"),
    "empty_prompt": _("empty prompt"),
    "empty_reply": _("empty reply"),
    "equal_replies": _("equal replies"),
    "no_prompt_alone": _("not a prompt alone"),
    "other_pair": _("not the pair drawn from its ranking"),
    "undecided": _("replies that won as often as they lost"),
    "ignored_targets": _("soft labels ignored"),
    "one_reply": _("fewer than two replies"),
    "special_token_in_text": _("special token in the text"),
    "template_changes_prompt": _("the chat template changes the prompt"),
    "tie": _("tie"),
    "too_long": _("too long"),
    "principles": _("principles"),
    "chains": _("whole chains"),
    "cut_off": _("a revision was cut off"),
    "empty_critique": _("empty critique"),
    "empty_revision": _("empty revision"),
    "zero_weight": _("weight zero"),
    "no_answer": _("the judge gave none of the answers"),
    "means_ten": _("a rating of 1 that meant a 10"),
    "inconsistent": _("an overall rating that the aspects belie"),
    "request_refused": _("refused by the server"),
    "server_fault": _("the server failed on it"),
    "silent": _("the server was silent on it"),
    "dropped": _("the server hung up on it"),
    "nonsense": _("the server's answer was unusable"),
}


@register.filter
def reported(name: str) -> str:
    """Return the words for a count or a reason that a recipe reported; a new name stands as is."""
    return str(_WORDS.get(name, name))
