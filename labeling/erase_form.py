"""The form by which an admin says that a person is to be erased."""

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.models import User


class EraseForm(forms.Form):
    """The account's name, typed out: nobody erases a person by a click beside the mark."""

    username = forms.CharField(label=gettext_lazy("Type the user name to confirm"), max_length=150)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        """Take the account whose name is to be typed."""
        super().__init__(*args, **kwargs)
        self.user = user
        self.fields["username"].widget.attrs.update(autocomplete="off", spellcheck="false")

    def clean_username(self) -> str:
        """Refuse any other name."""
        typed: str = self.cleaned_data["username"]
        if typed != self.user.username:
            raise forms.ValidationError(_("That is not this account's name."))
        return typed
