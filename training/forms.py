"""Forms made from the typed configs: a field, its sentence and its limits are written once."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.forms.boundfield import BoundField
from django.utils.translation import gettext_lazy as _

from labeling.language import said
from labeling.models import Project, Snapshot, Tag
from training.config_labels import LABELS
from training.configs import PRESETS, FieldSpec, field_specs, preset, to_json
from training.inputs import INPUTS
from training.models import ModelVersion
from training.selectors import snapshots_of, usable_models

# What a person looks at first comes first; what the machine needs comes last.
GROUPS = {
    "judging": _("Judging"),
    "sampling": _("Sampling"),
    "loss": _("Loss"),
    "model": _("Model"),
    "data": _("Data"),
    "optimization": _("Optimization"),
    "progress": _("Progress and checkpoints"),
    "lora": _("LoRA"),
    "machine": _("Machine"),
}


@dataclass(frozen=True)
class Group:
    """Fields that belong together; open where one of them is at fault."""

    title: str
    fields: list[BoundField]
    open: bool


def config_field(spec: FieldSpec, initial: Any) -> forms.Field:
    """Return the form field of one option of a config."""
    label = LABELS.get(spec.name, spec.name)
    common: dict[str, Any] = {"label": label, "help_text": said(spec.help), "initial": initial}
    if spec.type is bool:
        return forms.BooleanField(required=False, **common)
    if spec.choices:
        return forms.ChoiceField(choices=[(word, word) for word in spec.choices], **common)
    if spec.type is str:
        return forms.CharField(max_length=500, **common)
    limits = {"min": spec.minimum, "max": spec.maximum}
    attrs = {name: f"{value:g}" for name, value in limits.items() if value is not None}
    if spec.type is int:
        return forms.IntegerField(widget=forms.NumberInput(attrs=attrs), **common)
    return forms.FloatField(widget=forms.NumberInput(attrs={**attrs, "step": "any"}), **common)


class ConfigForm(forms.Form):
    """The options of a recipe, beginning with a preset's values."""

    def __init__(self, *args: Any, recipe: str, preset_name: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.recipe = recipe
        self.preset_name = preset_name if preset_name in PRESETS[recipe] else "default"
        self.specs = field_specs(recipe)
        start = to_json(preset(recipe, self.preset_name))
        for spec in self.specs:
            self.fields[spec.name] = config_field(spec, start[spec.name])

    def config(self) -> dict[str, Any]:
        """Return the options as given; only for a valid form."""
        return {spec.name: self.cleaned_data[spec.name] for spec in self.specs}

    def main(self) -> list[BoundField]:
        """Return the fields that are no options of the recipe."""
        names = {spec.name for spec in self.specs}
        return [self[name] for name in self.fields if name not in names]

    def groups(self) -> Iterator[Group]:
        """Yield the options by their groups, in the order in which a person meets them."""
        order = list(GROUPS)
        names = sorted({spec.group for spec in self.specs}, key=order.index)
        for number, name in enumerate(names):
            fields = [self[spec.name] for spec in self.specs if spec.group == name]
            faulty = any(field.errors for field in fields)
            yield Group(str(GROUPS[name]), fields, open=number == 0 or faulty)


class SnapshotField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A snapshot by its number, with what it holds."""

    def label_from_instance(self, obj: Snapshot) -> str:
        """Return number, size and note."""
        note = f" · {obj.note}" if obj.note else ""
        return f"{obj.number} · {obj.counts.get('labels', 0)} {obj.get_kind_display()}{note}"


def offer_tags(form: forms.Form, project: Project) -> None:
    """Let the form choose among the project's tags, if it has any."""
    names = Tag.objects.filter(project=project).values_list("name", flat=True)
    tags: Any = form.fields["tags"]
    tags.choices = [(name, name) for name in names]
    if not tags.choices:
        del form.fields["tags"]


class RunForm(ConfigForm):
    """A training run: what it learns from, what it starts from, and every option."""

    snapshot = SnapshotField(
        queryset=Snapshot.objects.none(),
        label=_("Snapshot"),
        to_field_name="number",
        help_text=_("The frozen labels that the run learns from."),
    )
    base_model = forms.ModelChoiceField(
        queryset=ModelVersion.objects.none(),
        label=_("Starts from"),
        required=False,
        help_text=_("The model whose weights are trained; empty for one from scratch."),
    )
    reward_model = forms.ModelChoiceField(
        queryset=ModelVersion.objects.none(),
        label=_("Judged by"),
        help_text=_("The reward model whose scores the policy learns from."),
    )
    tags = forms.MultipleChoiceField(
        label=_("Prompts with any of these tags"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Active prompts of the split train; none chosen: all of them."),
    )
    limit = forms.IntegerField(
        label=_("Prompts at most"),
        required=False,
        min_value=1,
        help_text=_("Drawn by the seed. Empty: all of them."),
    )
    name = forms.CharField(
        label=_("Name of the model"),
        max_length=120,
        required=False,
        help_text=_("Empty: the base model's name, with the next version."),
    )
    seed = forms.IntegerField(
        label=_("Seed"), initial=0, min_value=0, help_text=_("Repeats the run's random draws.")
    )

    def __init__(self, *args: Any, project: Project, recipe: str, **kwargs: Any) -> None:
        super().__init__(*args, recipe=recipe, **kwargs)
        needs = INPUTS[recipe]
        snapshots: Any = self.fields["snapshot"]
        snapshots.queryset = snapshots_of(project, needs.snapshot_kind)
        models: Any = self.fields["base_model"]
        models.queryset = usable_models(project, needs.base_kinds)
        judges: Any = self.fields["reward_model"]
        judges.queryset = usable_models(project, [ModelVersion.Kind.REWARD.value])
        if needs.rewarded:
            self._ask_for_prompts(project)
            return
        for name in ("tags", "limit"):
            del self.fields[name]
        if needs.may_be_judged:
            judges.required = False
            judges.help_text = _(
                "A reward model that scores replies to validation prompts at each evaluation; "
                "empty: none."
            )
        else:
            del self.fields["reward_model"]

    def _ask_for_prompts(self, project: Project) -> None:
        fields: dict[str, Any] = self.fields
        fields["snapshot"].required = False
        fields["snapshot"].label = _("Texts to keep likely")
        fields["snapshot"].help_text = _(
            "Demonstrations for PPO-ptx, which needs ptx_coefficient above 0; empty without."
        )
        offer_tags(self, project)


class SampleForm(ConfigForm):
    """A sampling run: which prompts, and what becomes of the replies."""

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
    queue = forms.BooleanField(
        label=_("Queue the replies to be ranked"), required=False, initial=True
    )
    first = forms.BooleanField(
        label=_("Rank them before what waits already"), required=False, initial=True
    )
    overlap = forms.IntegerField(
        label=_("Overlap"), min_value=1, help_text=_("How many people judge each comparison.")
    )
    seed = forms.IntegerField(
        label=_("Seed"), initial=0, min_value=0, help_text=_("Repeats the run's random draws.")
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, recipe="sample", **kwargs)
        self.fields["overlap"].initial = project.overlap
        start = max(project.candidates_per_comparison, 4)
        self.fields["candidates_per_prompt"].initial = start
        offer_tags(self, project)


class RegisterForm(forms.Form):
    """A model that lies in a folder of the server."""

    name = forms.CharField(label=_("Name"), max_length=120)
    kind = forms.ChoiceField(
        label=_("Kind"), choices=[(kind.value, kind.label) for kind in ModelVersion.REGISTRABLE]
    )
    folder = forms.CharField(
        label=_("Folder"),
        max_length=500,
        help_text=_("Absolute path on the server: safetensors, config.json and tokenizer.json."),
    )
    note = forms.CharField(
        label=_("Note"), max_length=500, required=False, help_text=_("Where it is from.")
    )


class ShareForm(forms.Form):
    """Another project that may use a model."""

    project = forms.SlugField(
        label=_("Share with"), max_length=60, help_text=_("The other project's short name.")
    )
