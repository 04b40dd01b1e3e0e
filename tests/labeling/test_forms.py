"""What the compare page sends, read into a submission; refusals shown beside their fields."""

import pytest
from django.http import QueryDict

from labeling.exceptions import InvalidInput
from labeling.forms import FreezeForm, GuidelineForm, ProjectForm, refuse, submission_of
from labeling.services.projects import SETTINGS


def _sent(**fields: object) -> QueryDict:
    data = QueryDict(mutable=True)
    for name, value in fields.items():
        data[name.replace("_", "-") if name.startswith("rank") else name] = str(value)
    return data


def test_submission_orders_tiers_by_rank_and_ties_equal_ranks() -> None:
    """Ranks 3, 1, 3, 2 of positions 0 to 3: position 1 first, then 3, then 0 and 2 tied."""
    submission = submission_of(_sent(rank_0=3, rank_1=1, rank_2=3, rank_3=2))
    assert submission.tiers == [[1], [3], [0, 2]]
    assert submission.touched


def test_submission_closes_gaps_between_ranks() -> None:
    """Ranks 1, 4, 4 say the same as 1, 2, 2."""
    gaps = submission_of(_sent(rank_0=1, rank_1=4, rank_2=4))
    assert gaps.tiers == submission_of(_sent(rank_0=1, rank_1=2, rank_2=2)).tiers


def test_submission_without_a_rank_is_untouched() -> None:
    submission = submission_of(_sent(rank_0="", rank_1=" "))
    assert not submission.touched
    assert submission.tiers == []


def test_submission_keeps_time_and_events() -> None:
    submission = submission_of(_sent(rank_0=1, active_ms=1234, events='[[5, "k1", 0]]'))
    assert submission.active_ms == 1234
    assert submission.events == [[5, "k1", 0]]


@pytest.mark.parametrize(
    ("field", "value"),
    [("rank-0", "first"), ("active_ms", "1.5"), ("events", "{}"), ("events", "[")],
)
def test_submission_names_the_field_that_can_not_be_read(field: str, value: str) -> None:
    data = QueryDict(mutable=True)
    data[field] = value
    with pytest.raises(InvalidInput) as refused:
        submission_of(data)
    assert list(refused.value.errors) == [field]


def test_refuse_puts_reasons_beside_their_fields_and_others_on_top() -> None:
    form = GuidelineForm({"text": "x"})
    assert form.is_valid()
    refuse(form, InvalidInput("No.", errors={"text": ["Too mild."], "elsewhere": ["Broken."]}))
    assert form.errors == {"text": ["Too mild."], "__all__": ["elsewhere: Broken."]}


def test_refuse_without_fields_shows_the_message() -> None:
    form = GuidelineForm({"text": "x"})
    assert form.is_valid()
    refuse(form, InvalidInput("Not now."))
    assert form.non_field_errors() == ["Not now."]


def test_project_form_has_exactly_the_settings_of_the_service() -> None:
    assert tuple(ProjectForm().fields) == SETTINGS


def test_freeze_form_asks_for_tags_only_where_there_are_some() -> None:
    assert "tags" not in FreezeForm(tags=[]).fields
    form = FreezeForm({"kind": "preferences", "tags": ["maths"]}, tags=["maths", "poems"])
    assert form.is_valid()
    assert form.cleaned_data["tags"] == ["maths"]
    assert not FreezeForm({"kind": "preferences", "tags": ["other"]}, tags=["maths"]).is_valid()
