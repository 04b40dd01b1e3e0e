"""Forms of constitutions: their next version, and a run that revises by one."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from labeling.models import Project
from training.constitutions.models import Constitution, ConstitutionVersion
from training.constitutions.selectors import versions_of
from training.forms import ConfigForm, offer_tags


class VersionForm(forms.Form):
    """The next version of a constitution, as plain YAML."""

    text = forms.CharField(
        label=_("Principles"),
        max_length=500_000,
        widget=forms.Textarea(attrs={"rows": 24, "spellcheck": "true", "class": "code"}),
        help_text=_(
            "YAML: each principle has a key, what a reply is to be criticized for, how it is then "
            "to be revised, and by what the better of two replies is known."
        ),
    )


class ConstitutionForm(VersionForm):
    """A new constitution: its name, and its first version."""

    field_order = ("name", "text")
    name = forms.CharField(
        label=_("Name"),
        max_length=Constitution._meta.get_field("name").max_length,
        help_text=_("By this name a loop takes its newest version."),
    )


class ReviseForm(ConfigForm):
    """A run in which a policy revises its own replies: by which principles, to which prompts."""

    constitution = forms.ModelChoiceField(
        queryset=ConstitutionVersion.objects.none(),
        label=_("Constitution"),
        required=False,
        empty_label=_("the one that comes with Prefloop"),
        help_text=_("A principle is drawn from it for each round of each reply."),
    )
    tags = forms.MultipleChoiceField(
        label=_("Prompts with any of these tags"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None chosen: all prompts."),
    )
    limit = forms.IntegerField(
        label=_("Prompts at most"),
        required=False,
        initial=100,
        min_value=1,
        help_text=_("Drawn by the seed. Empty: all of them."),
    )
    seed = forms.IntegerField(
        label=_("Seed"), initial=0, min_value=0, help_text=_("Repeats the run's random draws.")
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, recipe="revise", **kwargs)
        choices: Any = self.fields["constitution"]
        choices.queryset = versions_of(project)
        offer_tags(self, project)
