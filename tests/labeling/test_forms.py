"""Forms: fields as the services know them, refusals beside their fields."""

from labeling.exceptions import InvalidInput
from labeling.forms import FlagSetForm, FreezeForm, GuidelineForm, ProjectForm, refuse
from labeling.models import Project
from labeling.services.projects import DEFAULT_FLAGS, SETTINGS


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


def test_every_setting_says_in_a_sentence_what_it_does() -> None:
    for name in ("slug", *SETTINGS):
        assert str(Project._meta.get_field(name).help_text).endswith("."), name


def test_flag_set_form_reads_the_lines_that_it_shows() -> None:
    form = FlagSetForm({"flags": FlagSetForm.as_text(DEFAULT_FLAGS) + "\r\n\r\n b :  B: both \r\n"})
    assert form.is_valid()
    assert form.cleaned_data["flags"] == [*DEFAULT_FLAGS, {"key": "b", "label": "B: both"}]
    assert FlagSetForm({"flags": ""}).is_valid()


def test_flag_set_form_names_the_line_without_a_key() -> None:
    form = FlagSetForm({"flags": "made_up: Hallucination\nRude"})
    assert not form.is_valid()
    assert "“Rude” needs a key" in str(form.errors["flags"])
