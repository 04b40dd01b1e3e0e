"""What people type: one form a page. What the ranking page sends is read in ranking_form.py."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.password_validation import password_validators_help_text_html
from django.forms.models import fields_for_model
from django.utils.translation import gettext_lazy as _

from labeling.exceptions import PrefloopError
from labeling.models import Annotator, Export, Project, Role, Snapshot, User
from labeling.models.accounts import validate_time_zone
from labeling.services.projects import SETTINGS, Flag
from labeling.services.snapshots import MAX_WEIGHT


def refuse(form: forms.Form, error: PrefloopError) -> None:
    """Show a service's refusal in the form, beside the fields that it names."""
    if not error.errors:
        form.add_error(None, error.message)
    for name, reasons in error.errors.items():
        for reason in reasons:
            known = name in form.fields
            form.add_error(name if known else None, reason if known else f"{name}: {reason}")


class ProjectForm(forms.Form):
    """The settings of a project; the model gives fields, limits and help."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.update(fields_for_model(Project, self.names()))
        self.fields["description"].widget.attrs["rows"] = 3

    @staticmethod
    def names() -> tuple[str, ...]:
        """Return the names of the fields in the order of the page."""
        return SETTINGS


class NewProjectForm(ProjectForm):
    """A new project has a short name too, which stands in its addresses and never changes."""

    @staticmethod
    def names() -> tuple[str, ...]:
        """Return the settings, the short name after the name."""
        return ("name", "slug", *(name for name in SETTINGS if name != "name"))


class MemberForm(forms.Form):
    """An account, by its user name, and the role that it gets."""

    username = forms.CharField(
        label=_("User name"),
        max_length=150,
        widget=forms.TextInput(attrs={"list": "addable-names", "autocomplete": "off"}),
    )
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices)

    def clean_username(self) -> User:
        """Return the account of that name."""
        user = User.objects.filter(username=self.cleaned_data["username"]).first()
        if user is None:
            raise forms.ValidationError(_("There is no account of this name."))
        return user


class RoleForm(forms.Form):
    """Another role for a member."""

    role = forms.ChoiceField(label=_("Role"), choices=Role.choices)


class GuidelineForm(forms.Form):
    """The next version of the guidelines, in Markdown."""

    text = forms.CharField(
        label=_("Guidelines"),
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 16}),
        help_text=_("Markdown. Publishing adds a version; judgements keep the one they followed."),
    )


class FlagSetForm(forms.Form):
    """The next version of a project's flags, one a line."""

    flags = forms.CharField(
        label=_("Flags"),
        required=False,
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false"}),
        help_text=_(
            "One yes/no question a line, asked of every reply: a short key, a colon, and what "
            "annotators read, for example “made_up: Hallucination”. Keys stand in exports: keep "
            "them when you change the words."
        ),
    )

    @staticmethod
    def as_text(flags: Sequence[Flag]) -> str:
        """Return flags as the lines that people edit."""
        return "\n".join(f"{flag['key']}: {flag['label']}" for flag in flags)

    def clean_flags(self) -> list[Flag]:
        """Return the flags of the lines that are not empty."""
        found, reasons = [], []
        for line in filter(str.strip, self.cleaned_data["flags"].splitlines()):
            key, colon, label = line.partition(":")
            if not colon:
                reasons.append(_("“{line}” needs a key and a colon.").format(line=line[:60]))
            found.append(Flag(key=key.strip(), label=label.strip()))
        if reasons:
            raise forms.ValidationError(reasons)
        return found


class ImportForm(forms.Form):
    """A file of JSON Lines."""

    file = forms.FileField(label=_("File (JSON Lines)"))
    source_name = forms.CharField(
        label=_("Source"),
        max_length=120,
        required=False,
        help_text=_("Names whoever made the rankings in the file. Empty: the file's name."),
    )


class FreezeForm(forms.Form):
    """What a new snapshot holds."""

    kind = forms.ChoiceField(label=_("Labels"), choices=Snapshot.Kind.choices)
    tags = forms.MultipleChoiceField(
        label=_("Tags"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Prompts with any of these. None chosen: all prompts."),
    )
    annotator_kinds = forms.MultipleChoiceField(
        label=_("Annotators"),
        required=False,
        choices=Annotator.Kind.choices,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Labels by these alone. None chosen: by anybody but AI judges."),
    )
    ai_weight = forms.FloatField(
        label=_("Weight of AI judges"),
        required=False,
        initial=1,
        min_value=0.01,
        max_value=MAX_WEIGHT,
        help_text=_("How much an AI judge's ranking counts beside a person's, which counts 1."),
    )
    include_gold = forms.BooleanField(
        label=_("With gold items"),
        required=False,
        help_text=_("Judgements of comparisons with a known answer. As a rule they stay apart."),
    )
    note = forms.CharField(label=_("Note"), max_length=200, required=False)

    def __init__(self, *args: Any, tags: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if tags:
            self.fields["tags"].choices = [(name, name) for name in tags]  # type: ignore[attr-defined]
        else:
            del self.fields["tags"]

    def selection(self) -> dict[str, Any]:
        """Return what to freeze, as the service takes it; only for a valid form."""
        given = dict(self.cleaned_data)
        weight = given.pop("ai_weight")
        return {**given, "weights": {Annotator.Kind.AI.value: weight} if weight else {}}


class ExportForm(forms.Form):
    """The rows and the file type of an export."""

    format = forms.ChoiceField(label=_("Rows"), choices=Export.Format.choices)
    container = forms.ChoiceField(label=_("File type"), choices=Export.Container.choices)


class OwnSettingsForm(forms.Form):
    """A person's own time zone and language."""

    time_zone = forms.CharField(
        label=_("Time zone"),
        max_length=64,
        validators=[validate_time_zone],
        widget=forms.TextInput(attrs={"list": "time-zones", "autocomplete": "off"}),
        help_text=_("Your day begins at its midnight. For example Europe/Zurich."),
    )
    language = forms.ChoiceField(
        label=_("Language"),
        required=False,
        choices=[("", _("as the browser asks")), *settings.LANGUAGES],
    )


class AccountForm(forms.Form):
    """A new account; its person chooses the password by a link."""

    username = forms.CharField(
        label=_("User name"), max_length=150, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    is_site_admin = forms.BooleanField(
        label=_("Site admin"),
        required=False,
        help_text=_("May do everything in every project, and manages accounts."),
    )


class FirstPasswordForm(forms.Form):
    """A password, typed twice."""

    password = forms.CharField(
        label=_("New password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=password_validators_help_text_html,
    )
    again = forms.CharField(
        label=_("New password again"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        """Refuse two that differ."""
        said = super().clean() or {}
        if "password" in said and "again" in said and said["password"] != said["again"]:
            self.add_error("again", _("The two passwords differ."))
        return said

    def passwords(self) -> dict[str, str]:
        """Return what the service asks for."""
        return {name: text for name, text in self.cleaned_data.items() if name != "again"}


class OwnPasswordForm(FirstPasswordForm):
    """Another password for one's own account."""

    current = forms.CharField(
        label=_("Present password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    field_order = ("current", "password", "again")
