"""Writes of constitutions: publish versions, let a policy revise by them, take what it wrote."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from labeling.domain.content import content_hash, parse_reply
from labeling.exceptions import InvalidInput
from labeling.models import Annotator, Demonstration, Project, User
from labeling.models.prompts import State
from labeling.selectors.prompts import select_prompts
from labeling.services import audit
from training import rundir
from training.constitutions.models import (
    Constitution,
    ConstitutionVersion,
    RevisedDemonstration,
    RevisingRun,
)
from training.constitutions.principles import (
    parse_principles,
    sha256_of,
    shipped_text,
)
from training.constitutions.selectors import SHIPPED_NAME, latest_version
from training.models import ModelVersion, TrainingRun
from training.selectors import is_usable
from training.services.attempts import storable
from training.services.runs import MAX_SEED, config_errors, resolve_config

BATCH = 1000
_LONGEST_NAME = Constitution._meta.get_field("name").max_length or 60
# What a chain keeps of a text beside the text itself.
_KEPT = ("text", "finish_reason", "tokens", "logprob", "seed")


@transaction.atomic
def publish_constitution(
    *, actor: User | None, project: Project, name: str, text: str
) -> ConstitutionVersion:
    """Add the next version of the constitution of that name, the first of a new one.

    `text` is YAML as `principles.parse_principles` reads it. Raises InvalidInput, with the faults
    of the text by line, and where nothing differs from the newest version.
    """
    name = name.strip()
    if not 1 <= len(name) <= _LONGEST_NAME:
        said = _("Name the constitution, in at most {most} characters.").format(most=_LONGEST_NAME)
        raise InvalidInput(said, errors={"name": [said]})
    with config_errors():
        principles = parse_principles(text)
    # Two versions that are published at once must not get the same number.
    Project.objects.select_for_update(no_key=True).only("id").get(pk=project.pk)
    latest, sha256 = latest_version(project, name), sha256_of(principles)
    if latest and latest.sha256 == sha256:
        said = _("Version {number} says exactly this already.").format(number=latest.number)
        raise InvalidInput(said, errors={"text": [said]})
    constitution, _new = Constitution.objects.get_or_create(
        project=project, name=name, defaults={"created_by": actor}
    )
    top = constitution.versions.aggregate(Max("number"))["number__max"] or 0
    version = ConstitutionVersion.objects.create(
        constitution=constitution,
        number=top + 1,
        principles=[principle.to_json() for principle in principles],
        sha256=sha256,
        created_by=actor,
    )
    audit.record(
        actor=actor,
        project=project,
        verb="constitution.publish",
        obj=version,
        data={"name": name, "number": version.number, "principles": len(principles)},
    )
    return version


@transaction.atomic
def ensure_constitution(*, actor: User | None, project: Project, name: str) -> ConstitutionVersion:
    """Return the newest version of that name; the one that comes with Prefloop is made at need.

    Raises InvalidInput where the project has none of that name.
    """
    found = latest_version(project, name)
    if found is None and name == SHIPPED_NAME:
        return publish_constitution(actor=actor, project=project, name=name, text=shipped_text())
    if found is None:
        said = _("This project has no constitution {name}.").format(name=name)
        raise InvalidInput(said, errors={"constitution": [said]})
    return found


@transaction.atomic
def start_revising(
    *,
    actor: User | None,
    project: Project,
    model: ModelVersion,
    constitution: ConstitutionVersion,
    config: Mapping[str, Any] | None = None,
    preset_name: str = "",
    seed: int = 0,
    tags: Sequence[str] = (),
    exclude_tags: Sequence[str] = (),
    limit: int | None = None,
) -> TrainingRun:
    """Queue a run in which a policy revises its own replies; `run.revising` says by what.

    The prompts are chosen now, by tags, count and seed. When it has ended, its revisions are
    demonstrations. Raises InvalidInput, with errors by field.
    """
    resolved = resolve_config(recipe="revise", config=config, preset_name=preset_name)
    errors = _errors(project, model, constitution, seed=seed, limit=limit)
    if errors:
        raise InvalidInput(_("The model can't revise like this."), errors=errors)
    selection: dict[str, Any] = {
        "tags": [*tags],
        "exclude_tags": [*exclude_tags],
        "limit": limit,
        "seed": seed,
    }
    prompts = select_prompts(project, **selection)
    if not prompts:
        text = _("No prompt of this project has such tags.")
        raise InvalidInput(_("There is nothing to reply to."), errors={"tags": [text]})
    revising = RevisingRun(
        model=model,
        constitution=constitution,
        selection=selection,
        prompt_ids=[prompt.pk for prompt in prompts],
    )
    return _write(actor, project, resolved, revising)


def _write(
    actor: User | None, project: Project, config: dict[str, Any], revising: RevisingRun
) -> TrainingRun:
    revising.run = TrainingRun.objects.create(
        project=project,
        recipe="revise",
        config=config,
        seed=revising.selection["seed"],
        base_model=revising.model,
        created_by=actor,
    )
    revising.save()
    audit.record(
        actor=actor,
        project=project,
        verb="revising.create",
        obj=revising.run,
        data={
            "model": str(revising.model),
            "constitution": str(revising.constitution),
            "prompts": len(revising.prompt_ids),
        },
    )
    return revising.run


def _errors(
    project: Project,
    model: ModelVersion,
    constitution: ConstitutionVersion,
    *,
    seed: int,
    limit: int | None,
) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    if not is_usable(project, model):
        errors["model"] = [_("There is no such model in this project.")]
    elif model.kind != ModelVersion.Kind.POLICY:
        text = _("{model} is a {kind}; only a policy can reply.")
        errors["model"] = [text.format(model=model, kind=model.get_kind_display())]
    if constitution.constitution.project_id != project.pk:
        errors["constitution"] = [_("There is no such constitution in this project.")]
    if not 0 <= seed <= MAX_SEED:
        errors["seed"] = [
            _("Use a whole number from {least} to {most}.").format(least=0, most=MAX_SEED)
        ]
    if limit is not None and limit < 1:
        errors["limit"] = [_("Ask for at least one prompt.")]
    return errors


def take_revisions(*, run: TrainingRun) -> RevisingRun:
    """Store a finished run's revisions as demonstrations, in the transaction that ends the run.

    All or nothing; what was taken before is found by its key and not taken twice.
    """
    # The project first: whoever ends a round locks it before anything that points to it.
    Project.objects.select_for_update(no_key=True).only("id").get(pk=run.project_id)
    rows = RevisingRun.objects.select_related("model", "constitution__constitution")
    revising = rows.get(run=run)
    annotator = _annotator(run.project, revising)
    made = 0
    for batch in _batches(_revisions(run)):
        made += _store(run, revising, annotator, batch)
    revising.demonstrations_made = made
    revising.save(update_fields=["demonstrations_made"])
    audit.record(
        actor=run.created_by,
        project=run.project,
        verb="revisions.take",
        obj=run,
        data={"demonstrations": made, "annotator": str(annotator)},
    )
    return revising


def _annotator(project: Project, revising: RevisingRun) -> Annotator:
    """Return the annotator of kind AI that this model with this constitution is in the project."""
    version = revising.constitution
    provenance = {
        "reviser": str(revising.model),
        "model_sha256": revising.model.sha256,
        "constitution": version.constitution.name,
        "version": version.number,
        "constitution_sha256": version.sha256,
    }
    digest = hashlib.sha256(json.dumps(provenance, sort_keys=True).encode()).hexdigest()[:8]
    name = f"{str(revising.model)[:60]} · {str(version)[:46]} · {digest}"
    found, _new = Annotator.objects.get_or_create(
        project=project,
        kind=Annotator.Kind.AI,
        name=name,
        defaults={"provenance": provenance},
    )
    return found


def _revisions(run: TrainingRun) -> Iterator[tuple[int, int, str, dict[str, Any]]]:
    """Yield (prompt id, round, text, chain up to there) of what is to be a demonstration."""
    keeps_all = run.config["demonstration"] == "all"
    with (run.folder / rundir.REVISIONS).open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if row["dropped"]:
                continue
            last = len(row["rounds"])
            for nth in range(1 if keeps_all else last, last + 1):
                chain = _chain(row, nth)
                yield int(row["prompt_id"]), nth, chain["rounds"][-1]["revision"]["text"], chain


def _chain(row: Mapping[str, Any], rounds: int) -> dict[str, Any]:
    """Return a line of the folder as the database keeps it, up to one of its rounds."""
    return {
        "reply": _kept(row["reply"]),
        "rounds": [
            {
                "principle": one["principle"],
                "critique": _kept(one["critique"]),
                "revision": _kept(one["revision"]),
            }
            for one in row["rounds"][:rounds]
        ],
    }


def _kept(text: Mapping[str, Any]) -> dict[str, Any]:
    return {**{name: text.get(name) for name in _KEPT}, "text": storable(text["text"])}


def _batches(rows: Iterator[Any]) -> Iterator[list[Any]]:
    batch = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _store(
    run: TrainingRun,
    revising: RevisingRun,
    annotator: Annotator,
    batch: Sequence[tuple[int, int, str, dict[str, Any]]],
) -> int:
    """Write the demonstrations of a batch that are not there yet; return how many there are."""
    keyed = {f"{run.uid}:{prompt}:{nth}": row for row in batch for prompt, nth in [row[:2]]}
    rows = Demonstration.objects.filter(annotator=annotator, idempotency_key__in=keyed)
    there = set(rows.values_list("idempotency_key", flat=True))
    fresh = {key: row for key, row in keyed.items() if key not in there}
    made = Demonstration.objects.bulk_create(
        [_demonstration(annotator, key, row[0], row[2]) for key, row in fresh.items()]
    )
    RevisedDemonstration.objects.bulk_create(
        [
            RevisedDemonstration(revising_run=revising, demonstration=one, chain=row[3])
            for one, row in zip(made, fresh.values(), strict=True)
        ]
    )
    return len(keyed)


def _demonstration(annotator: Annotator, key: str, prompt: int, text: str) -> Demonstration:
    messages = parse_reply(text, "revision")
    return Demonstration(
        prompt_id=prompt,
        annotator=annotator,
        messages=messages,
        content_hash=content_hash(messages),
        origin="ai",
        idempotency_key=key,
        request_hash=hashlib.sha256(text.encode()).hexdigest(),
    )


@transaction.atomic
def withdraw_revisions(*, actor: User | None, run: TrainingRun) -> int:
    """Take what a revising run made out of use, as where it is made anew; return how many it was.

    Snapshots that hold them keep them.
    """
    rows = Demonstration.objects.filter(revised__revising_run=run.pk, state=State.ACTIVE)
    count = rows.update(state=State.WITHDRAWN)
    if count:
        audit.record(
            actor=actor,
            project=run.project,
            verb="revisions.withdraw",
            obj=run,
            data={"demonstrations": count},
        )
    return count
