"""Writes of the registry: models that runs made, models from outside, and who may use them."""

import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from labeling.domain.sentences import sentence
from labeling.exceptions import InvalidInput
from labeling.models import Project, User
from labeling.services import audit
from training import rundir
from training.exceptions import ModelMissing
from training.inputs import INPUTS
from training.models import ModelVersion, RunPrompts, TrainingRun


def take_weights(*, run: TrainingRun, sha256: str, partial: bool = False) -> str:
    """Move the model out of the run's folder, whole or not at all; return its new path.

    Done once or twice it comes to the same. A run leaves one partial model each time that it is
    stopped. Raises ModelMissing where the weights are not those that the recipe wrote down.
    """
    made = run.folder / rundir.MODEL
    name = f"{run.uid}-partial-{sha256[:12]}" if partial else str(run.uid)
    place = Path(settings.MODEL_DIR) / name
    if not place.exists():
        if not made.is_dir():
            raise ModelMissing(
                sentence("{folder} is missing, so there is no model to register.", folder=str(made))
            )
        place.parent.mkdir(parents=True, exist_ok=True)
        _move(made, place)
    found = rundir.weights_sha256(place)
    if found != sha256:
        raise ModelMissing(
            sentence(
                "The weights in {place} have sha256 {found}, the recipe said {wanted}.",
                place=str(place),
                found=found,
                wanted=sha256,
            )
        )
    return place.name


def _move(made: Path, place: Path) -> None:
    try:
        made.rename(place)
    except OSError:  # another file system: copy beside the place, then rename there
        copy = place.with_name(f".{place.name}.tmp")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(made, copy)
        copy.rename(place)
    rundir.sync_folder(place.parent)


def provenance_of(run: TrainingRun, result: dict[str, Any]) -> dict[str, Any]:
    """Return by what a model is known: labels, config, seed, base, commit, libraries, measures."""
    base, snapshot, reward = run.base_model, run.snapshot, run.reward_model
    prompts = RunPrompts.objects.filter(run=run).first()
    return {
        "recipe": run.recipe,
        "run": str(run.uid),
        "snapshot": {"number": snapshot.number, "sha256": snapshot.sha256} if snapshot else None,
        "data_sha256": run.data_sha256,
        "base_model": {"name": str(base), "sha256": base.sha256} if base else None,
        "reward_model": {"name": str(reward), "sha256": reward.sha256} if reward else None,
        "prompts": {**prompts.selection, "count": len(prompts.prompt_ids)} if prompts else None,
        "config": run.config,
        "seed": run.seed,
        "git_commit": run.git_commit,
        "versions": run.library_versions,
        "steps": {"taken": result.get("steps"), "planned": result.get("total_steps")},
        "metrics": result.get("metrics", {}),
    }


def register_result(
    *, run: TrainingRun, result: dict[str, Any], path: str, partial: bool = False
) -> ModelVersion:
    """Register what a run made, in the transaction that ends the run.

    A run that was stopped leaves a partial model: it can be sampled and trained on like any other,
    and when the run goes on to its end, the finished model is the next version beside it.
    """
    return add_version(
        actor=run.created_by,
        project=run.project,
        name=run.name,
        kind=INPUTS[run.recipe].makes,
        parent=run.base_model,
        run=run,
        path=path,
        sha256=result["model"]["sha256"],
        is_partial=partial,
        provenance=provenance_of(run, result),
    )


def add_version(*, actor: User | None, project: Project, name: str, **fields: Any) -> ModelVersion:
    """Register the next version under a name, in the caller's transaction."""
    # Two versions of a name that are made at once must not get the same number.
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    rows = ModelVersion.objects.filter(project=project, name=name)
    latest = rows.aggregate(Max("version"))["version__max"] or 0
    model = ModelVersion.objects.create(
        project=project, name=name, version=latest + 1, created_by=actor, **fields
    )
    audit.record(
        actor=actor,
        project=project,
        verb="model.register",
        obj=model,
        data={"name": str(model), "sha256": model.sha256},
    )
    return model


@transaction.atomic
def register_model(
    *, actor: User | None, project: Project, name: str, folder: Path, kind: str, note: str = ""
) -> ModelVersion:
    """Register a model that lies on this machine, where it lies. Raises InvalidInput."""
    errors: dict[str, list[str]] = {}
    if not name.strip() or len(name.strip()) > 120:
        errors["name"] = [_("Give it a name of at most 120 characters.")]
    if kind not in ModelVersion.REGISTRABLE:
        errors["kind"] = [
            _("Use one of {known}.").format(known=", ".join(ModelVersion.REGISTRABLE))
        ]
    problem = _folder_problem(folder)
    if problem:
        errors["folder"] = [problem]
    if errors:
        raise InvalidInput(_("The model can't be registered."), errors=errors)
    return add_version(
        actor=actor,
        project=project,
        name=name.strip(),
        kind=kind,
        path=str(folder.resolve()),
        sha256=rundir.weights_sha256(folder),
        provenance={"from": str(folder.resolve()), "note": note},
    )


def _folder_problem(folder: Path) -> str | None:
    if not folder.is_absolute() or not folder.is_dir():
        sentence = _("{folder} is no folder on this machine: give an absolute path.")
        return sentence.format(folder=folder)
    if not any(folder.glob("*.safetensors")):
        sentence = _("{folder} holds no .safetensors file: convert the weights first.")
        return sentence.format(folder=folder)
    missing = [name for name in ("config.json", "tokenizer.json") if not (folder / name).exists()]
    lacks = _("{folder} lacks {names}.").format(folder=folder, names=", ".join(missing))
    return lacks if missing else None


@transaction.atomic
def share_model(*, actor: User | None, model: ModelVersion, project: Project) -> None:
    """Let another project start runs from the model, sample it and see where it is from."""
    if project.pk == model.project_id:
        text = _("The model already belongs to this project.")
        raise InvalidInput(text, errors={"project": [text]})
    model.shared_with.add(project)
    audit.record(
        actor=actor,
        project=model.project,
        verb="model.share",
        obj=model,
        data={"with": project.slug},
    )
