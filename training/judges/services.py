"""Writes of AI judges: name one, let it judge, and take in what it said."""

import json
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.demo.gold import GOLD_VERSION, gold_score, has_gold, tiers_of
from labeling.domain.content import plain_messages
from labeling.exceptions import InvalidInput
from labeling.models import Annotator, Judgement, Project, User
from labeling.services import audit
from labeling.services.ai_judgements import AIJudgement, give_to_ai, record_ai_judgements
from labeling.services.projects import named_annotator
from training import rundir
from training.endpoints.selectors import outside_problem
from training.judges.labels import PROMPT_VERSIONS, PairLabel, checked_pairs, lean_bins
from training.judges.models import Judge, JudgementMade, Judging
from training.judges.selectors import (
    CHOICES,
    comparisons_in_order,
    comparisons_to_judge,
    replies_of,
    unjudged,
)
from training.models import ModelVersion, TrainingRun
from training.selectors import is_usable
from training.services.attempts import storable
from training.services.runs import MAX_SEED, resolve_config

MAX_NAME, MAX_CRITERIA = 100, 4000
# Gold scores this far apart are told apart with odds of e to 1: a just noticeable difference.
_GOLD_SCALE = 0.1
_ANSWERING = (ModelVersion.Kind.POLICY, ModelVersion.Kind.OUTSIDE)
_KEPT = ("pairs", "ratings", "reasons", "mass")
Source = Judge.Source


@transaction.atomic
def create_judge(
    *,
    actor: User | None,
    project: Project,
    name: str,
    source: str = Source.MODEL,
    model: ModelVersion | None = None,
    criteria: str = "",
    config: Mapping[str, Any] | None = None,
    preset_name: str = "",
) -> Judge:
    """Name an AI judge, or the next version of one: an annotator of kind AI of its own.

    `config` holds what differs from the preset of the recipe `judge`, or from its defaults. Raises
    InvalidInput, with errors by field.
    """
    resolved = resolve_config(recipe="judge", config=config, preset_name=preset_name)
    name, criteria = name.strip(), criteria.strip()
    errors = _judge_errors(project, name, source, model, criteria, resolved)
    if errors:
        raise InvalidInput(_("The AI judge can't be made like this."), errors=errors)
    Project.objects.select_for_update(no_key=True).only("id").get(pk=project.pk)
    rows = Judge.objects.filter(project=project, name=name)
    version = (rows.aggregate(Max("version"))["version__max"] or 0) + 1
    annotator = named_annotator(project=project, kind=Annotator.Kind.AI, name=f"{name} v{version}")
    judge = Judge.objects.create(
        project=project,
        annotator=annotator,
        name=name,
        version=version,
        source=source,
        style=resolved["style"],
        model=model,
        criteria=criteria,
        config=resolved,
        provenance=_provenance(source, model, resolved),
        created_by=actor,
    )
    audit.record(
        actor=actor, project=project, verb="judge.create", obj=judge, data={"judge": str(judge)}
    )
    return judge


def _provenance(
    source: str, model: ModelVersion | None, config: Mapping[str, Any]
) -> dict[str, Any]:
    known: dict[str, Any] = {
        "model": str(model) if model else source,
        "style": config["style"],
        "prompt_version": PROMPT_VERSIONS[config["style"]],
    }
    if source == Source.GOLD:
        return {**known, "prompt_version": GOLD_VERSION}
    return {**known, "model_sha256": model.sha256} if model else known


def _judge_errors(
    project: Project,
    name: str,
    source: str,
    model: ModelVersion | None,
    criteria: str,
    config: Mapping[str, Any],
) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    if not 1 <= len(name) <= MAX_NAME or "," in name:
        text = _("Name the judge in 1 to {most} characters, without a comma.")
        errors["name"] = [text.format(most=MAX_NAME)]
    if len(criteria) > MAX_CRITERIA:
        text = _("Use at most {most} characters.")
        errors["criteria"] = [text.format(most=MAX_CRITERIA)]
    if source not in Source.values:
        errors["source"] = [_("Use one of {known}.").format(known=", ".join(Source.values))]
    elif source == Source.GOLD:
        if model is not None:
            errors["model"] = [_("The hidden score needs no model: leave this empty.")]
        if config["style"] != Judge.Style.PAIRWISE:
            errors["style"] = [_("The hidden score compares pairs: choose pairwise.")]
    elif model is None or not is_usable(project, model):
        errors["model"] = [_("Choose a policy of this project, or one that is shared with it.")]
    elif problem := outside_problem(model):
        errors["model"] = [problem]
    elif model.kind not in _ANSWERING:
        text = _("{model} is a {kind}; only a policy can answer.")
        errors["model"] = [text.format(model=model, kind=model.get_kind_display())]
    return errors


@transaction.atomic
def retire_judge(*, actor: User | None, judge: Judge) -> Judge:
    """Ask a judge nothing more; what it said stays. Raises InvalidInput where it is retired."""
    if not Judge.objects.filter(pk=judge.pk, is_archived=False).update(is_archived=True):
        raise InvalidInput(_("This AI judge is retired already."))
    judge.is_archived = True
    audit.record(
        actor=actor,
        project=judge.project,
        verb="judge.retire",
        obj=judge,
        data={"judge": str(judge)},
    )
    return judge


@transaction.atomic
def start_judging(
    *,
    actor: User | None,
    project: Project,
    judge: Judge,
    comparison_ids: Collection[int],
    seed: int = 0,
    principles: Mapping[int, Mapping[str, Any]] | None = None,
) -> TrainingRun:
    """Queue a run in which an AI judge ranks comparisons; `run.judging` says which.

    Comparisons that it has judged, and withdrawn ones, are left out. `principles` gives some
    comparisons (by their ids) a principle of their own, whose `text` goes before the criteria. The
    hidden score needs no worker: its run has ended when this returns. Raises InvalidInput, with
    errors by field.
    """
    told = {str(pk): dict(principle) for pk, principle in (principles or {}).items()}
    asked = unjudged(judge, comparison_ids)
    errors = _judging_errors(project, judge, asked, seed, told)
    if errors:
        raise InvalidInput(_("The AI judge can't be asked like this."), errors=errors)
    run = TrainingRun.objects.create(
        project=project,
        recipe="judge",
        config=judge.config,
        seed=seed,
        base_model=judge.model,
        created_by=actor,
    )
    judging = Judging.objects.create(run=run, judge=judge, comparison_ids=asked, principles=told)
    audit.record(
        actor=actor,
        project=project,
        verb="judging.create",
        obj=run,
        data={"judge": str(judge), "comparisons": len(asked)},
    )
    if judge.source == Source.GOLD:
        _judge_by_gold(judging)
    return run


@transaction.atomic
def ask_judge(
    *,
    actor: User | None,
    project: Project,
    judge: Judge,
    which: str,
    limit: int | None = None,
    seed: int = 0,
) -> TrainingRun:
    """Ask a judge about comparisons of a kind (a key of CHOICES), as many as `limit` at most.

    Those that wait for people are taken out of their queue. Raises InvalidInput, with errors by
    field.
    """
    if which not in CHOICES:
        text = _("Use one of {known}.").format(known=", ".join(CHOICES))
        raise InvalidInput(_("The AI judge can't be asked like this."), errors={"which": [text]})
    asked = comparisons_to_judge(project, judge, which=which, limit=limit, seed=seed)
    if which == "queue":
        asked = give_to_ai(actor=actor, project=project, comparison_ids=asked)
    return start_judging(actor=actor, project=project, judge=judge, comparison_ids=asked, seed=seed)


def _judging_errors(
    project: Project,
    judge: Judge,
    asked: Sequence[int],
    seed: int,
    principles: Mapping[str, Mapping[str, Any]],
) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    if judge.project_id != project.pk:
        errors["judge"] = [_("There is no such AI judge in this project.")]
    elif judge.is_archived:
        errors["judge"] = [_("{judge} is retired: choose another.").format(judge=judge)]
    elif not asked:
        text = _("There is no comparison of this choice that {judge} has not judged.")
        errors["which"] = [text.format(judge=judge)]
    elif judge.model and (problem := outside_problem(judge.model)):
        errors["judge"] = [problem]
    elif judge.source == Source.GOLD and not _all_have_gold(asked):
        errors["judge"] = [_("Only the demo world's prompts have a hidden score.")]
    if not 0 <= seed <= MAX_SEED:
        text = _("Use a whole number from {least} to {most}.")
        errors["seed"] = [text.format(least=0, most=MAX_SEED)]
    if any(not str(one.get("text", "")).strip() for one in principles.values()):
        errors["principles"] = [_("A principle needs a text.")]
    return errors


def _all_have_gold(comparison_ids: Sequence[int]) -> bool:
    rows = comparisons_in_order(comparison_ids)
    return all(has_gold(plain_messages(row.prompt.messages)) for row in rows)


def _judge_by_gold(judging: Judging) -> None:
    """Judge by the hidden score, outside any recipe: both orders say the same, ties as people."""
    run = judging.run
    lines = []
    for comparison in comparisons_in_order(judging.comparison_ids):
        asked = plain_messages(comparison.prompt.messages)
        scores = [gold_score(asked, reply[-1]["content"]) for reply in replies_of(comparison)]
        pairs = [
            PairLabel(first=a, second=b, soft=_sigmoid((scores[a] - scores[b]) / _GOLD_SCALE))
            for a, b in combinations(range(len(scores)), 2)
        ]
        lines.append(
            {
                "comparison_id": str(comparison.pk),
                "principle": None,
                "left_out": None,
                "tiers": tiers_of(scores),
                "pairs": [pair.row() for pair in pairs],
            }
        )
    made = _take(judging, lines)
    run.state = TrainingRun.State.SUCCEEDED
    run.started_at = run.finished_at = timezone.now()
    run.result = {"status": "succeeded", "metrics": {"judge/judged": made}}
    run.save()


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


@transaction.atomic
def take_judgements(*, run: TrainingRun) -> Judging:
    """Write what a finished run's judge said as judgements, in the transaction that ends the run.

    Raises InvalidInput where the recipe wrote what is no judgement.
    """
    # The project first: whoever ends a round locks it before anything that points to it.
    Project.objects.select_for_update(no_key=True).only("id").get(pk=run.project_id)
    judging = Judging.objects.select_related("judge__annotator", "run").get(run=run)
    try:
        _take(judging, list(_read_lines(run.folder / rundir.JUDGEMENTS)))
    except (ValueError, KeyError, TypeError) as error:
        text = _("{name} holds what is no judgement: {reason}")
        raise InvalidInput(text.format(name=rundir.JUDGEMENTS, reason=error)) from None
    return judging


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _take(judging: Judging, lines: Sequence[Mapping[str, Any]]) -> int:
    """Record the judgements of some lines, and keep what they come to; return how many are new."""
    judge, run = judging.judge, judging.run
    asked = set(judging.comparison_ids)
    said: list[AIJudgement] = []
    leans: list[float] = []
    left_out: Counter[str] = Counter()
    for line in lines:
        pk = int(line["comparison_id"])
        if pk not in asked:
            raise ValueError(f"comparison {pk} was not asked about")
        if line["left_out"]:
            left_out[str(line["left_out"])[:60]] += 1
            continue
        pairs = checked_pairs(line["pairs"], sum(map(len, line["tiers"])))
        leans += [pair.lean for pair in pairs]
        said.append(
            AIJudgement(
                comparison_id=pk,
                tiers=line["tiers"],
                provenance=_told(judge, run, line, pairs),
            )
        )
    made = record_ai_judgements(actor=run.created_by, annotator=judge.annotator, said=said)
    _keep_edges(judging, made)
    judging.judgements_made = len(made)
    judging.surplus_made = sum(one.surplus for one in made)
    judging.left_out = dict(left_out)
    # Styles that compare nothing, and the hidden score, which can't lean, have no bias to show.
    if judge.source != Source.GOLD:
        judging.leans, judging.lean_sum = lean_bins(leans), sum(leans)
    judging.save()
    return len(made)


def _told(
    judge: Judge, run: TrainingRun, line: Mapping[str, Any], pairs: Sequence[PairLabel]
) -> dict[str, Any]:
    """Return the provenance of a judgement: who answered, what was asked, and what was said."""
    known = {name: line[name] for name in _KEPT if name in line}
    return {
        **judge.provenance,
        **_clean(known),
        "pairs": [pair.row() for pair in pairs],
        "judge": str(judge.uid),
        "judge_version": judge.version,
        "run": str(run.uid),
        "principle": line["principle"],
    }


def _clean(value: Any) -> Any:
    """Return what a model wrote as the database can keep it."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {name: _clean(one) for name, one in value.items()}
    return [_clean(one) for one in value] if isinstance(value, list) else value


def _keep_edges(judging: Judging, made: Sequence[Judgement]) -> None:
    JudgementMade.objects.bulk_create(
        [JudgementMade(judging=judging, judgement=one) for one in made], batch_size=1000
    )
