"""The form of an endpoint; the model gives fields, limits and help."""

from typing import Any

from django import forms
from django.forms.models import fields_for_model
from django.utils.translation import gettext_lazy as _

from labeling.models import Project
from training.endpoints.models import Endpoint
from training.endpoints.services import LIMITS, SETTINGS


class EndpointForm(forms.Form):
    """Every setting, and the key, which is typed and never shown again."""

    key = forms.CharField(
        label=_("Key"),
        required=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    forget_key = forms.BooleanField(label=_("Forget the stored key"), required=False)

    def __init__(self, *args: Any, endpoint: Endpoint | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own = fields_for_model(Endpoint, SETTINGS)
        after = list(SETTINGS).index("key_variable")
        own_first = {name: own[name] for name in SETTINGS[:after]}
        rest = {name: own[name] for name in SETTINGS[after:]}
        asked = {name: self.fields[name] for name in ("key", "forget_key")}
        self.fields = {**own_first, **asked, **rest}
        for name, (least, most) in LIMITS.items():
            self.fields[name].widget.attrs |= {"min": least, "max": most}
        if endpoint is None:
            del self.fields["is_active"]
        if endpoint is None or not endpoint.key_cipher:
            del self.fields["forget_key"]
        stored = endpoint is not None and endpoint.key_cipher
        self.fields["key"].help_text = (
            _("A key is stored. Empty: it stays as it is.")
            if stored
            else _("Stored under this site's secret and never shown again. Empty: none.")
        )

    @classmethod
    def about(cls, endpoint: Endpoint, data: Any = None) -> "EndpointForm":
        """Return the form of an endpoint, with its settings as they are."""
        now = {name: getattr(endpoint, name) for name in SETTINGS}
        return cls(data, endpoint=endpoint, initial=now)

    def settings(self) -> dict[str, Any]:
        """Return the settings as given; only for a valid form."""
        return {name: self.cleaned_data[name] for name in SETTINGS if name in self.cleaned_data}

    def given_key(self) -> str | None:
        """Return the key as given: None leaves a stored one, an empty one removes it."""
        given = str(self.cleaned_data["key"])
        if not given and self.cleaned_data.get("forget_key"):
            return ""
        return given or None


class OfferForm(forms.Form):
    """A project that may ask an endpoint's model."""

    project = forms.ModelChoiceField(
        label=_("Project"), queryset=Project.objects.none(), to_field_name="slug"
    )

    def __init__(self, *args: Any, endpoint: Endpoint, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = Project.objects.order_by("name")
        projects: Any = self.fields["project"]
        projects.queryset = rows.filter(pk=endpoint.project_id) if endpoint.project_id else rows
        projects.label_from_instance = lambda project: project.name
