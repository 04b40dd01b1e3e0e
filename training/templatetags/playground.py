"""The kinds of personal data in words; the codes are those of labeling/domain/personal_data.py."""

from typing import Final

from django import template
from django.utils.translation import gettext_lazy as _

from labeling.domain.personal_data import ADDRESS, CARD, EMAIL, IBAN, PHONE

register = template.Library()

KINDS: Final = {
    EMAIL: _("e-mail address"),
    PHONE: _("telephone number"),
    IBAN: _("account number"),
    CARD: _("card number"),
    ADDRESS: _("IP address"),
}


@register.filter
def kind_of_data(kind: str) -> str:
    """Return a kind of personal data in words."""
    return str(KINDS.get(kind, kind))
