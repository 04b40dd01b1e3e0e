"""The form that starts an evaluation: what is measured, against what, and on which prompts."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from labeling.models import Project
from training.forms import ConfigForm, offer_tags
from training.models import ModelVersion
from training.selectors import usable_models


class EvaluationForm(ConfigForm):
    """An evaluation: the models that take part, the prompts, and every option."""

    policy = forms.ModelChoiceField(
        queryset=ModelVersion.objects.none(),
        label=_("Policy"),
        help_text=_("The model that is measured."),
    )
    reward_model = forms.ModelChoiceField(
        queryset=ModelVersion.objects.none(),
        label=_("Reward model"),
        help_text=_("Scores the replies. Figures compare where it is the same."),
    )
    reference = forms.ModelChoiceField(
        queryset=ModelVersion.objects.none(),
        label=_("Reference"),
        required=False,
        help_text=_(
            "What the KL is measured to. Empty: the model with which the policy's learning from "
            "preferences began."
        ),
    )
    baseline = forms.ModelChoiceField(
        queryset=ModelVersion.objects.none(),
        label=_("Baseline"),
        required=False,
        help_text=_("Another policy, against whose replies the policy's are held. Empty: none."),
    )
    judge = forms.ModelChoiceField(
        queryset=ModelVersion.objects.none(),
        label=_("AI judge"),
        required=False,
        help_text=_(
            "A policy that says which of two replies is better, policy or baseline. Empty: none."
        ),
    )
    split = forms.ChoiceField(
        label=_("Split"),
        choices=[("validation", _("validation")), ("test", _("test"))],
        initial="validation",
        help_text=_("Choose by validation; look at test when nothing is left to choose."),
    )
    tags = forms.MultipleChoiceField(
        label=_("Prompts with any of these tags"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None chosen: all prompts of the split."),
    )
    limit = forms.IntegerField(
        label=_("Prompts at most"),
        required=False,
        initial=100,
        min_value=2,
        help_text=_("Drawn by the seed. Empty: all of them."),
    )
    seed = forms.IntegerField(
        label=_("Seed"), initial=0, min_value=0, help_text=_("Repeats the run's random draws.")
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, recipe="evaluate", **kwargs)
        fields: dict[str, Any] = self.fields
        for name in ("policy", "reference", "baseline", "judge"):
            fields[name].queryset = usable_models(project, [ModelVersion.Kind.POLICY.value])
        fields["reward_model"].queryset = usable_models(project, [ModelVersion.Kind.REWARD.value])
        offer_tags(self, project)
