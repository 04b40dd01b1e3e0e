"""What the playground's page sends: a conversation with how it is to go on, or a text to keep."""

import json
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from labeling.domain.content import ContentError, parse_prompt, plain_messages
from labeling.language import said

MOST_MESSAGES = 100
MOST_CHARACTERS = 100_000
MOST_TOKENS = 4096


class MessagesField(forms.CharField):
    """A conversation as JSON, the last message the user's."""

    def clean(self, value: Any) -> list[dict[str, str]]:
        """Return the messages with plain texts."""
        text = super().clean(value)
        try:
            messages = parse_prompt(json.loads(text))
        except ContentError as error:
            raise forms.ValidationError(said(error.reason)) from None
        except (ValueError, RecursionError):
            raise forms.ValidationError(_("This is no list of messages.")) from None
        if len(messages) > MOST_MESSAGES:
            raise forms.ValidationError(_("The conversation is too long: begin a new one."))
        return plain_messages(messages)


class SettingsForm(forms.Form):
    """How a reply is drawn."""

    temperature = forms.FloatField(
        label=_("Temperature"),
        min_value=0,
        max_value=2,
        initial=0.7,
        widget=forms.NumberInput(attrs={"step": "0.05"}),
        help_text=_("0 always takes the likeliest word; higher is more varied."),
    )
    top_p = forms.FloatField(
        label=_("Top-p"),
        min_value=0.01,
        max_value=1,
        initial=1,
        widget=forms.NumberInput(attrs={"step": "0.01"}),
        help_text=_("Draws from the likeliest words that together have this probability."),
    )
    max_tokens = forms.IntegerField(
        label=_("Longest reply in tokens"), min_value=1, max_value=MOST_TOKENS, initial=256
    )
    seed = forms.IntegerField(
        label=_("Seed"),
        required=False,
        min_value=0,
        max_value=2**31 - 1,
        help_text=_("The same seed gives the same reply again. Empty: another one each time."),
    )


class AskForm(SettingsForm):
    """One turn of a conversation with one model."""

    model = forms.IntegerField(label=_("Model"), min_value=1)
    messages = MessagesField(label=_("Conversation"), max_length=MOST_CHARACTERS, strip=False)


class OfferForm(forms.Form):
    """A text that its author lets the project use."""

    messages = MessagesField(label=_("Conversation"), max_length=MOST_CHARACTERS, strip=False)
    consent = forms.BooleanField(
        label=_("Consent"),
        error_messages={"required": _("Nothing is kept without your consent.")},
    )
