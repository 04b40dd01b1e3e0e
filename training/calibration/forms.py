"""Forms of calibration."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from labeling.services.more_people import MOST_PEOPLE
from training.calibration.services import MOST_SHARED
from training.services.runs import MAX_SEED


class SharedSampleForm(forms.Form):
    """How many comparisons a judge and people share."""

    count = forms.IntegerField(
        label=_("Comparisons"), min_value=1, max_value=MOST_SHARED, initial=50
    )
    people = forms.IntegerField(
        label=_("People for each"),
        min_value=1,
        max_value=MOST_PEOPLE,
        initial=2,
        help_text=_("With two or more, people's own agreement is measured on the same items."),
    )
    seed = forms.IntegerField(label=_("Seed"), min_value=0, max_value=MAX_SEED, initial=0)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Give the fields ids of their own: the page holds two forms."""
        super().__init__(*args, **{"auto_id": "sample_%s", **kwargs})


class RouteForm(forms.Form):
    """When a comparison goes to people."""

    least_certainty = forms.FloatField(
        label=_("Least certainty"),
        min_value=0.5,
        max_value=1.0,
        initial=0.6,
        help_text=_(
            "The mean probability, over a comparison's pairs, of the likelier side. People judge "
            "what lies below it; 0.5 sends nothing on."
        ),
        widget=forms.NumberInput(attrs={"step": "0.01"}),
    )
    weak_topics = forms.BooleanField(
        label=_("Topics on which the judge is known to be weak"), required=False, initial=True
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Give the fields ids of their own: the page holds two forms."""
        super().__init__(*args, **{"auto_id": "route_%s", **kwargs})
