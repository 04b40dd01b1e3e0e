"""The form that asks people which of two policies is better."""

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.models import Project
from training.contests.selectors import contestable_evaluations
from training.contests.services import MOST_PAIRS
from training.models import Evaluation, TrainingRun
from training.services.sampling import MAX_OVERLAP


class _EvaluationField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """Offers evaluations by whose replies they hold."""

    def label_from_instance(self, obj: Evaluation) -> str:
        """Return both policies, and on how many prompts."""
        text = _("{policy} against {baseline}: run {number}, {count} prompts")
        return text.format(
            policy=obj.policy,
            baseline=obj.baseline,
            number=obj.run_id,
            count=len(obj.prompt_ids),
        )


class ContestForm(forms.Form):
    """Which evaluation's replies are compared, how many at most, and when that is decided."""

    evaluation = _EvaluationField(
        queryset=Evaluation.objects.none(),
        label=gettext_lazy("Evaluation"),
        help_text=gettext_lazy("Its replies are compared, one of each policy to a prompt."),
    )
    most = forms.IntegerField(
        label=gettext_lazy("Pairs at most"),
        min_value=1,
        max_value=MOST_PAIRS,
        initial=200,
        help_text=gettext_lazy("It ends sooner where it is decided."),
    )
    indifference = forms.FloatField(
        label=gettext_lazy("Indifference"),
        min_value=0,
        max_value=0.49,
        initial=0.0,
        help_text=gettext_lazy(
            "Win rates this near to one half count as no difference; 0 looks for one until the "
            "pairs are used up."
        ),
    )
    overlap = forms.IntegerField(
        label=gettext_lazy("Overlap"),
        min_value=1,
        max_value=MAX_OVERLAP,
        initial=1,
        help_text=gettext_lazy("Annotators who judge each pair."),
    )
    priority = forms.IntegerField(
        label=gettext_lazy("Priority"),
        min_value=-100,
        max_value=100,
        initial=1,
        help_text=gettext_lazy("Higher ones are asked first; ordinary comparisons have 0."),
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered: Any = self.fields["evaluation"]
        offered.queryset = contestable_evaluations(project)

    def said(self) -> dict[str, Any]:
        """Return what the service takes; only for a valid form."""
        given = dict(self.cleaned_data)
        run: TrainingRun = given.pop("evaluation").run
        return {"run": run, **given}
