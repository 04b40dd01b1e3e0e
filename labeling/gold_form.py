"""What a manager sends to make a gold item: a judgement to take it from, or ranks."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from labeling.domain.rankings import Tiers, tiers_from_ranks
from labeling.exceptions import InvalidInput
from labeling.services.gold import MAX_NOTE


class GoldForm(forms.Form):
    """`rank-<slot>` holds a rank from 1, equal ranks tie; `judgement` stands in place of ranks."""

    judgement = forms.UUIDField(required=False)
    note = forms.CharField(max_length=MAX_NOTE, required=False)

    def __init__(self, *args: Any, count: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ranks = [f"rank-{slot}" for slot in range(count)]
        for name in self._ranks:
            self.fields[name] = forms.IntegerField(min_value=1, max_value=9, required=False)

    def clean(self) -> dict[str, Any]:
        """Ask for every rank where no judgement is named."""
        said = super().clean() or {}
        if not said.get("judgement"):
            for name in self._ranks:
                if said.get(name) is None and name not in self.errors:
                    self.add_error(name, _("Give each candidate a rank."))
        return said

    def said(self) -> dict[str, Any]:
        """Return what the service is to take, `judgement_uid` or `tiers`, with the note.

        Raises InvalidInput, naming the fields.
        """
        if not self.is_valid():
            errors = {name: [str(e) for e in found] for name, found in self.errors.items()}
            raise InvalidInput(str(_("The answer can't be taken.")), errors=errors)
        note = {"note": self.cleaned_data["note"]}
        if self.cleaned_data["judgement"]:
            return note | {"judgement_uid": self.cleaned_data["judgement"]}
        return note | {"tiers": self._tiers()}

    def _tiers(self) -> Tiers:
        return tiers_from_ranks([self.cleaned_data[name] for name in self._ranks])
