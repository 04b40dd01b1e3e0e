"""The forms of AI judges: who answers and how, and what is asked."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from labeling.models import Project
from training.forms import ConfigForm
from training.judges.models import Judge
from training.judges.selectors import CHOICES
from training.judges.services import MAX_CRITERIA, MAX_NAME
from training.models import ModelVersion
from training.selectors import usable_models
from training.services.runs import MAX_SEED


class JudgeForm(ConfigForm):
    """A new AI judge, or the next version of one: who answers, by what, and every option."""

    name = forms.CharField(
        label=_("Name"),
        max_length=MAX_NAME,
        help_text=_("A name that is there already gets its next version."),
    )
    source = forms.ChoiceField(
        label=_("Who answers"),
        choices=Judge.Source.choices,
        initial=Judge.Source.MODEL,
        help_text=_("The hidden score knows the demo world's prompts alone."),
    )
    model = forms.ModelChoiceField(
        queryset=ModelVersion.objects.none(),
        label=_("Policy"),
        required=False,
        help_text=_("The model that is asked, where one is."),
    )
    criteria = forms.CharField(
        label=_("Criteria"),
        required=False,
        max_length=MAX_CRITERIA,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_(
            "What makes a reply the better one, in a sentence or two. Empty: it helps more with "
            "what was asked, is honest, and does no harm."
        ),
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, recipe="judge", **kwargs)
        models: Any = self.fields["model"]
        models.queryset = usable_models(
            project, [ModelVersion.Kind.POLICY.value, ModelVersion.Kind.OUTSIDE.value]
        )


class AskForm(forms.Form):
    """What a judge is asked about."""

    which = forms.ChoiceField(
        label=_("Comparisons"),
        choices=list(CHOICES.items()),
        widget=forms.RadioSelect,
        initial="waiting",
    )
    limit = forms.IntegerField(
        label=_("At most"),
        required=False,
        min_value=1,
        help_text=_("Drawn by the seed. Empty: all of them."),
    )
    seed = forms.IntegerField(
        label=_("Seed"),
        initial=0,
        min_value=0,
        max_value=MAX_SEED,
        help_text=_("Repeats the run's random draws."),
    )
