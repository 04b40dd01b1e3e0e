"""A program beside a running application: it makes what a round needs, judges, and tells.

`python -m tests.training.rounds.beside`, with the application's environment, reads a deed a line
as JSON and answers with a line. `Beside` is the other end, in a test. A database that was restarted
is asked again.
"""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.stack import REPOSITORY, LiveStack

PATIENCE_S = 60.0


class Beside:
    """The test's end: `ask("stands")` returns what the deed of that name answers."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, deed: str, **how: Any) -> Any:
        """Do one deed in the other process. Raises AssertionError with what went wrong there."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([deed, how]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the program beside the application has died"
        answer, problem = json.loads(line)
        assert not problem, problem
        return answer


@contextmanager
def beside(stack: LiveStack) -> Iterator[Beside]:
    """Run the program beside an application for the length of a block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.training.rounds.beside"],
        cwd=REPOSITORY,
        env=dict(stack.environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Beside(process)
    finally:
        process.kill()
        process.communicate()


# --- the other process ---------------------------------------------------------------------------


def plant() -> None:
    """Make the project, and let a worker train its first policy."""
    from tests.training.rounds.small import make_seedling_run, make_small_project
    from training import tasks

    run = make_seedling_run(make_small_project(name="Small", slug="small"))
    tasks.ring(run.pk)


def people() -> str:
    """Make a manager and an annotator of the project, and return its owner's name."""
    from labeling.models import Role
    from tests.factories import make_member, make_user, owner_of

    project = _project()
    for role in (Role.MANAGER, Role.ANNOTATOR):
        make_member(project, role, make_user(f"small-{role.value}"))
    return owner_of(project).username


def grown() -> bool:
    """Return whether the first policy is there."""
    from tests.training.rounds.small import NAME
    from training.models import ModelVersion

    return ModelVersion.objects.filter(name=NAME).exists()


def begin(config: dict[str, Any]) -> None:
    """Promote the first policy, say how the loop turns, and start a round."""
    from tests.factories import owner_of
    from training import tasks
    from training.models import ModelVersion
    from training.rounds.services import configure_loop, promote_model, start_round

    project = _project()
    owner = owner_of(project)
    promote_model(actor=owner, project=project, model=ModelVersion.objects.get())
    configure_loop(actor=owner, project=project, config=config)
    start_round(actor=owner, project=project)
    tasks.ring_rounds()


def stands() -> dict[str, Any]:
    """Return where the round stands, and the state and step of its run of each recipe."""
    from training.models import TrainingRun
    from training.rounds.models import Round

    round = Round.objects.get()
    runs = TrainingRun.objects.filter(round_step__round=round).order_by("pk")
    return {
        "state": round.state,
        "problem": round.problem,
        "runs": {run.recipe: [run.state, run.step] for run in runs},
        "errors": [run.error for run in runs if run.error],
    }


def judge(most: int) -> int:
    """Rank at most so many comparisons; return how many there were."""
    from tests.training.rounds.small import judge_by_hash

    return judge_by_hash(_project(), most=most)


def decide() -> None:
    """Promote what the round has made."""
    from tests.factories import owner_of
    from training.rounds.models import Round
    from training.rounds.services import decide_round

    project = _project()
    decide_round(actor=owner_of(project), round=Round.objects.get(), promote=True)


def hold() -> None:
    """Lock the project's row: whoever makes comparisons or freezes labels waits in the middle.

    Rows that point to the project can still be written.
    """
    from django.db import connection

    if connection.get_autocommit():
        connection.set_autocommit(False)
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM labeling_project WHERE slug = 'small' FOR NO KEY UPDATE")


def waiting() -> int:
    """Return how many wait for a lock."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return int(cursor.fetchone()[0])


def let_go() -> None:
    """Give the project's row free again; after a restart of the database it is free already."""
    from django.db import connection

    connection.close()


def totals() -> dict[str, Any]:
    """Return what the round left: rows by table, tokens by run, weights, promotions."""
    from django.apps import apps

    from labeling.models import AuditEvent, CandidateSource, Snapshot
    from training.models import ModelVersion, TrainingRun
    from training.rounds.models import Promotion

    tables = [
        *("labeling.Prompt", "labeling.Candidate", "labeling.CandidateSource"),
        *("labeling.Comparison", "labeling.ComparisonCandidate", "labeling.Judgement"),
        *("labeling.PreferencePair", "labeling.Snapshot", "labeling.SnapshotItem"),
        *("training.SampledCandidate", "training.TrainingRun", "training.ModelVersion"),
        *("training.MetricPoint", "training.Evaluation", "training.Round", "training.RoundStep"),
        *("training.RoundComparison", "training.Promotion"),
    ]
    verbs = AuditEvent.objects.filter(verb__startswith="round.").values_list("verb", flat=True)
    sampled = CandidateSource.objects.values_list("sampling__tokens", flat=True)
    return {
        "rows": {name: apps.get_model(name).objects.count() for name in tables},
        "counts": list(Snapshot.objects.order_by("number").values_list("counts", flat=True)),
        "sampled_tokens": sum(tokens or 0 for tokens in sampled),
        "learned": {
            f"{run.recipe}": [run.step, run.result["metrics"].get("num_tokens"), run.state]
            for run in TrainingRun.objects.order_by("pk")
        },
        "weights": list(ModelVersion.objects.order_by("pk").values_list("name", "sha256")),
        "verbs": dict(Counter(verbs)),
        "promoted": [str(row.model) for row in Promotion.objects.order_by("pk")],
    }


def losses() -> int:
    """Return how many attempts lost their worker."""
    from training.models import RunAttempt

    return RunAttempt.objects.filter(outcome=RunAttempt.Outcome.LOST).count()


def _project() -> Any:
    from labeling.models import Project

    return Project.objects.get(slug="small")


DEEDS: dict[str, Callable[..., Any]] = {
    deed.__name__: deed
    for deed in (
        *(plant, people, grown, begin, stands, judge, decide),
        *(hold, waiting, let_go, totals, losses),
    )
}


def _answer(deed: str, how: dict[str, Any]) -> list[Any]:
    """Return [answer, problem] of a deed, asked again while the database is away."""
    from django.db import InterfaceError, OperationalError, connection

    give_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            return [DEEDS[deed](**how), ""]
        except (OperationalError, InterfaceError) as error:
            connection.close()
            if time.monotonic() > give_up:
                return [None, f"{deed}: the database stays away: {error}"]
            time.sleep(0.5)
        except Exception as error:  # noqa: BLE001 - the test is told
            connection.close()
            return [None, f"{deed}: {type(error).__name__}: {error}"]


def main() -> None:
    """Do what is asked, until nobody asks any more."""
    import os

    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    import django

    django.setup()
    for line in sys.stdin:
        deed, how = json.loads(line)
        sys.stdout.write(json.dumps(_answer(deed, how), default=str) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
