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
    "ignored_weights": _("weights ignored"),
    "duplicate": _("duplicate"),
    "empty_prompt": _("empty prompt"),
    "empty_reply": _("empty reply"),
    "equal_replies": _("equal replies"),
    "special_token_in_text": _("special token in the text"),
    "template_changes_prompt": _("the chat template changes the prompt"),
    "tie": _("tie"),
    "too_long": _("too long"),
    "zero_weight": _("weight zero"),
}


@register.filter
def reported(name: str) -> str:
    """Return the words for a count or a reason that a recipe reported; a new name stands as is."""
    return str(_WORDS.get(name, name))
