"""A run before it starts: what it would leave out of its rows, and what it would take."""

from typing import Any

from django.db import transaction

from labeling.models import Project
from training import tasks
from training.forms import RunForm
from training.planning import Plan, forecast_of, preview_of


def planned(project: Project, form: RunForm) -> dict[str, Any]:
    """Return what the start form shows of a valid plan; ask for a measurement if none is known."""
    given = form.cleaned_data
    plan = Plan(
        project=project,
        recipe=form.recipe,
        config=form.config(),
        snapshot=given["snapshot"],
        base=given["base_model"],
        reward=given.get("reward_model"),
        tags=given.get("tags", ()),
        limit=given.get("limit"),
        seed=given["seed"],
    )
    seen = preview_of(plan)
    found = forecast_of(plan, seen)
    if found is not None and not found.on:
        transaction.on_commit(tasks.ask_for_measurement)
    return {"preview": seen, "forecast": found, "looked": True}
