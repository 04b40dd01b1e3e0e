"""The form of a loop, made from its config: a field, its sentence and its limits stand there."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from labeling.language import all_said
from labeling.models import Project
from training.config_fields import ConfigError
from training.forms import Group, config_field
from training.models import ModelVersion
from training.rounds.config import loop_specs
from training.rounds.loop_yaml import from_yaml
from training.rounds.loops import Loop, loop_preset, parse_loop
from training.rounds.presets import LOOP_PRESETS
from training.rounds.services import MOST_AHEAD
from training.selectors import usable_models

GROUPS = {
    "supervised": _("Before sampling"),
    "sampling": _("Sampling"),
    "choosing": _("What is asked first"),
    "labelling": _("Labelling"),
    "training": _("Training"),
    "evaluation": _("Evaluation"),
    "promotion": _("Promotion"),
}


LABELS = {
    "prompts": _("Prompts"),
    "tags": _("Tags"),
    "exclude_tags": _("Tags left alone"),
    "sft": _("Fine-tuning"),
    "sft_from": _("Fine-tuned on"),
    "constitution": _("Constitution"),
    "revised_prompts": _("Prompts to revise for"),
    "replies_per_prompt": _("Replies per prompt"),
    "share_current": _("Share of the current policy"),
    "share_previous": _("Share of the policy before"),
    "share_base": _("Share of the first policy"),
    "share_outside": _("Share of an outside model"),
    "outside": _("Outside model"),
    "share_human": _("Share of people's replies"),
    "pool_factor": _("Replies sampled for one asked about"),
    "strategy": _("Chosen by"),
    "control_share": _("Share chosen by chance"),
    "comparisons_per_prompt": _("Comparisons per prompt"),
    "judges": _("Judged by"),
    "judge": _("AI judges"),
    "ai_weight": _("Weight of AI judges"),
    "least_certainty": _("Least certainty of AI judges"),
    "weak_topics": _("Weak topics go to people"),
    "overlap": _("Overlap"),
    "judged_share": _("Judged share"),
    "most_days": _("Most days"),
    "labels": _("Labels"),
    "trains_reward": _("Trains a reward model"),
    "policy_recipe": _("Recipe of the policy"),
    "start": _("Start and reference"),
    "preset": _("Preset of the recipes"),
    "evaluation_prompts": _("Evaluation prompts"),
    "evaluation_replies": _("Evaluation replies"),
    "human_evaluation": _("Pairs compared by people"),
    "indifference": _("Indifference"),
    "promotion": _("Promotion"),
    "promotion_by": _("Promotion by"),
    "least_win_rate": _("Least win rate"),
}


class LoopForm(forms.Form):
    """Every field of a loop, beginning with the project's own or with a preset.

    Only who may start rounds says how many start by themselves.
    """

    rounds_ahead = forms.IntegerField(
        label=_("Rounds ahead"),
        min_value=0,
        max_value=MOST_AHEAD,
        initial=0,
        help_text=_("Rounds that start by themselves when the one before has ended."),
    )

    def __init__(self, *args: Any, start: Loop, starts_rounds: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.start = start
        if not starts_rounds:
            self.fields["rounds_ahead"].disabled = True
        for spec in loop_specs():
            field = config_field(spec, getattr(start.config, spec.name))
            field.label = LABELS[spec.name]
            self.fields[spec.name] = field
        for name in ("tags", "exclude_tags", "outside", "constitution", "judge"):
            self.fields[name].required = False

    def config(self) -> dict[str, Any]:
        """Return what was given, with the recipes' fields as they were; only for a valid form."""
        given = {spec.name: self.cleaned_data[spec.name] for spec in loop_specs()}
        return {**given, "recipes": self.start.recipes}

    def groups(self) -> Iterator[Group]:
        """Yield the fields by their groups, in the order in which a round meets them."""
        for name, title in GROUPS.items():
            fields = [self[spec.name] for spec in loop_specs() if spec.group == name]
            yield Group(str(title), fields, open=True)


class YamlForm(forms.Form):
    """A loop as YAML."""

    yaml = forms.CharField(
        label=_("The loop as YAML"),
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 24, "spellcheck": "false", "class": "mono"}),
        help_text=_("The same fields; under recipes stand those of each recipe that you change."),
    )
    loop: Loop

    def clean_yaml(self) -> str:
        """Read the loop, and keep it."""
        text = str(self.cleaned_data["yaml"])
        try:
            self.loop = from_yaml(text)
        except ConfigError as error:
            told = [f"{name}: {' '.join(texts)}" for name, texts in all_said(error.errors).items()]
            raise forms.ValidationError(told) from None
        return text


class PromoteForm(forms.Form):
    """Which policy is to be the current one."""

    model = forms.ModelChoiceField(queryset=ModelVersion.objects.none(), label=_("Policy"))
    note = forms.CharField(label=_("Why"), max_length=500, required=False)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        policies: Any = self.fields["model"]
        policies.queryset = usable_models(project, [ModelVersion.Kind.POLICY])


def starting_loop(config: dict[str, Any] | None, preset: str) -> Loop:
    """Return what a form begins with: the preset asked for, else the project's own loop."""
    if preset in LOOP_PRESETS:
        return loop_preset(preset)
    try:
        return parse_loop(config or {})
    except ConfigError:  # written by an older version: begin anew
        return parse_loop({})


class DecisionForm(forms.Form):
    """Whether a round's policy takes over."""

    promote = forms.ChoiceField(choices=[("1", _("Promote")), ("0", _("Keep"))])
    note = forms.CharField(label=_("Why"), max_length=500, required=False)
