"""Runs with what real ones measure: curves of the shape that learning has, and evaluations."""

import math
import random
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from django.utils import timezone

from labeling.models import Project
from tests.factories import owner_of
from tests.training.factories import make_model, make_rewarded_run, make_run
from training.models import Evaluation, MetricPoint, ModelVersion, TrainingRun

Values = Mapping[str, float | None]


def measure(run: TrainingRun, rows: Mapping[int, Values]) -> None:
    """Let the run have measured these values by step."""
    MetricPoint.objects.bulk_create(
        MetricPoint(
            run=run,
            attempt_number=1,
            step=step,
            values=dict(values),
            recorded_at=timezone.now(),
        )
        for step, values in rows.items()
    )


def end_well(run: TrainingRun, steps: int, minutes: float = 12, **metrics: float) -> ModelVersion:
    """Let the run have succeeded after so many steps and minutes; return the model it made."""
    now = timezone.now()
    TrainingRun.objects.filter(pk=run.pk).update(
        state="succeeded",
        step=steps,
        total_steps=steps,
        started_at=now - timedelta(minutes=minutes),
        finished_at=now,
        result={"metrics": metrics},
    )
    run.refresh_from_db()
    return ModelVersion.objects.create(
        project=run.project,
        name=run.name,
        version=ModelVersion.objects.filter(name=run.name).count() + 1,
        kind="policy",
        parent=run.base_model,
        run=run,
        path=f"{run.uid}",
        sha256=f"{run.pk:064d}",
    )


def drift(far: float, gain: float, steps: int, seed: int) -> Callable[[int], Values]:
    """Return what a policy measures that drifts so many nats from its reference.

    Reward grows with the root of KL and bends down (2210.10760), with the noise of a batch.
    """
    noise = random.Random(seed)

    def at(step: int) -> Values:
        kl = far * (1 - math.exp(-2.5 * step / steps))
        score = gain * math.sqrt(kl) - 0.02 * gain * kl + noise.gauss(0, 0.12)
        shown = max(0.0, kl + noise.gauss(0, 0.06 * far))
        return {
            "objective/kl": shown,
            "objective/kl_k3": kl * (1 + noise.gauss(0, 0.03)),
            "objective/scores": score,
            "objective/rlhf_reward": score - 0.05 * shown,
            "objective/entropy": 62 - 1.4 * kl + noise.gauss(0, 1.5),
            "policy/approxkl_avg": abs(noise.gauss(0.004, 0.001)),
            "policy/clipfrac_avg": abs(noise.gauss(0.05, 0.01)),
            "loss/value_avg": 0.4 * math.exp(-3 * step / steps) + abs(noise.gauss(0.08, 0.02)),
            "val/length": 24 + 0.8 * kl + noise.gauss(0, 1),
            "lr": 1e-5,
        }

    return at


def estimate(value: float, reach: float) -> dict[str, float]:
    """Return an estimate as reports hold it."""
    return {"value": value, "low": value - reach, "high": value + reach}


def make_evaluation(
    project: Project,
    policy: ModelVersion,
    reference: ModelVersion,
    reward_model: ModelVersion,
    *,
    kl: float,
    reward: float,
    gold: float | None = None,
    best_of: Mapping[int, tuple[float, float | None]] | None = None,
) -> TrainingRun:
    """Return a finished evaluation of a policy; `best_of` holds reward and gold by n."""
    run = TrainingRun.objects.create(
        project=project,
        recipe="evaluate",
        state="succeeded",
        base_model=policy,
        reward_model=reward_model,
        created_by=owner_of(project),
        result={
            "evaluation": {
                "policy": {
                    "kl": estimate(kl, 0.06 * kl + 0.02),
                    "reward": estimate(reward, 0.09),
                    "length": estimate(25, 2),
                },
                "wins": {},
                "prompts": 200,
                "best_of": [
                    {"n": n, "kl": math.log(n) - (n - 1) / n, **estimate(mean, 0.05)}
                    for n, (mean, _gold) in (best_of or {}).items()
                ],
            }
        },
    )
    golden: dict[str, Any] = {} if gold is None else {"policy": estimate(gold, 0.1)}
    if best_of:
        golden["best_of"] = [
            {"n": n, **estimate(mean, 0.05)} for n, (_mean, mean) in best_of.items() if mean
        ]
    Evaluation.objects.create(
        run=run, policy=policy, reference=reference, selection={"split": "test"}, gold=golden
    )
    return run


def make_family(project: Project) -> list[TrainingRun]:
    """Return a DPO run and two PPO runs, alike but for their KL coefficient, all from one base.

    Each was evaluated, and so was the base, with its best of n; gold falls where KL is large.
    """
    base, judge = make_model(project), make_model(project, "reward", name="judge")
    runs, points = [], []
    for beta, far, gain, gold in ((0.2, 4.0, 1.1, 1.35), (0.02, 18.0, 0.8, 0.4)):
        config = {"beta": beta}
        run = make_rewarded_run(project, base_model=base, reward_model=judge, config=config)
        at = drift(far, gain, 400, seed=run.pk)
        measure(run, {step: at(step) for step in range(2, 401, 2)})
        made = end_well(run, 400, 34, **at(400))
        score = gain * math.sqrt(far) - 0.02 * gain * far
        points.append((made, far * 0.92, score - 0.1, gold))
        runs.append(run)
    dpo = make_run(project, base_model=base)
    noise = random.Random(1)
    measure(dpo, {step: _preferred(step, noise) for step in range(5, 301, 5)})
    points.append((end_well(dpo, 300, 9, loss=0.41), 2.6, 1.4, 1.2))
    best = {1: (0.0, 0.1), 4: (0.95, 0.8), 16: (1.55, 1.2), 64: (1.95, 1.3), 256: (2.2, 1.25)}
    make_evaluation(project, base, base, judge, kl=0.0, reward=0.0, gold=0.1, best_of=best)
    for made, kl, reward, gold in points:
        make_evaluation(project, made, base, judge, kl=kl, reward=reward, gold=gold)
    return [*runs, dpo]


def _preferred(step: int, noise: random.Random) -> Values:
    loss = 0.41 + 0.28 * math.exp(-step / 70) + noise.gauss(0, 0.015)
    values = {"loss": loss, "grad_norm": 2 + noise.gauss(0, 0.4), "lr": 5e-7}
    values["rewards/accuracies"] = min(1.0, 0.86 - 0.36 * math.exp(-step / 60))
    return values if step % 50 else values | {"eval_loss": loss + 0.02}
