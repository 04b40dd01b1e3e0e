"""A run from the bell to its end: with ten-line recipes, real ones, and killed workers."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from django.db import OperationalError, connection
from django.test import Client
from kombu.exceptions import OperationalError as BrokerAway

from config.processes import death_signal
from labeling.models import AuditEvent, Candidate, CandidateSource, Comparison, Prompt
from tests.conftest import REPOSITORY, VAR_DIR
from tests.factories import make_project, owner_of
from tests.training.factories import (
    FAILS,
    HEAD,
    SAMPLES,
    SILENT,
    STEPS,
    data_rows,
    make_demonstrations,
    make_run,
    make_sampling_run,
    use_recipe,
)
from training import rundir, tasks
from training.models import (
    MetricPoint,
    ModelVersion,
    RunAttempt,
    SampledCandidate,
    SampledComparison,
    TrainingRun,
)
from training.selectors import base_models, flagged_samples
from training.services import attempts
from training.services.runs import create_run, request_cancel, request_stop, resume_run
from training.services.sampling import create_sampling_run

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_run_trains_and_registers_what_it_is_known_by(monkeypatch, tmp_path):
    use_recipe(monkeypatch, tmp_path, STEPS)
    run = make_run(make_project(), seed=3)
    tasks.train(run.pk)
    run.refresh_from_db()
    assert (run.state, run.exit_code, run.error) == ("succeeded", 0, "")
    assert (run.step, run.total_steps) == (6, 6)
    model = run.model_version
    assert str(model) == "base v2"  # v1 is the base model, and the new one keeps its name
    assert (model.parent, model.kind) == (run.base_model, "policy")
    assert model.sha256 == rundir.weights_sha256(model.folder)
    known = model.provenance
    assert known["snapshot"] == {"number": 1, "sha256": run.snapshot.sha256}
    assert (known["seed"], known["config"]) == (3, run.config)
    assert known["base_model"]["sha256"] == run.base_model.sha256
    assert known["data_sha256"] == rundir.file_sha256(run.folder / rundir.DATA)
    assert known["versions"]["python"] == sys.version.split()[0]
    assert known["git_commit"] == run.git_commit != ""
    points = MetricPoint.objects.filter(run=run).values_list("step", "values__loss")
    assert [step for step, _ in points] == [1, 2, 3, 4, 5, 6]
    # A ranking [[0], [1], [2, 3]] gives 6 pairs, one of them a tie.
    rows = data_rows(run)
    assert (len(rows), sum(row["tie"] for row in rows)) == (18, 3)
    assert "step 6 of attempt 1" in run.log_tail


def test_a_run_delivered_twice_at_once_trains_once(monkeypatch, tmp_path):
    use_recipe(monkeypatch, tmp_path, STEPS, PAUSE=0.1)
    run = make_run(make_project())

    def deliver(_: int) -> None:
        try:
            tasks.train(run.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(deliver, range(2)))
    tasks.train(run.pk)
    assert RunAttempt.objects.filter(run=run).count() == 1
    assert ModelVersion.objects.filter(run=run).count() == 1


def test_a_failed_run_shows_its_exit_code_and_last_forty_lines(monkeypatch, tmp_path):
    use_recipe(monkeypatch, tmp_path, FAILS)
    run = make_run(make_project())
    tasks.train(run.pk)
    run.refresh_from_db()
    assert (run.state, run.exit_code) == ("failed", 3)
    assert run.log_tail.splitlines() == [f"line {n}" for n in range(20, 60)]
    assert "exit code 3" in run.error


def test_an_exit_without_a_result_is_a_failure(monkeypatch, tmp_path):
    use_recipe(monkeypatch, tmp_path, SILENT)
    run = make_run(make_project())
    tasks.train(run.pk)
    run.refresh_from_db()
    assert (run.state, run.exit_code) == ("failed", 0)
    assert "result.json" in run.error
    assert not ModelVersion.objects.filter(run=run).exists()


def ask_when_running(run: TrainingRun, ask) -> threading.Thread:
    """Ask for the run's end as soon as it has measured something."""

    def wait_and_ask() -> None:
        try:
            while not MetricPoint.objects.filter(run=run).exists():
                time.sleep(0.05)
            ask(actor=None, run=run)
        finally:
            connection.close()

    thread = threading.Thread(target=wait_and_ask)
    thread.start()
    return thread


def test_a_stopped_run_goes_on_from_its_checkpoint(monkeypatch, tmp_path):
    use_recipe(monkeypatch, tmp_path, STEPS, PAUSE=0.4)
    run = make_run(make_project())
    thread = ask_when_running(run, request_stop)
    tasks.train(run.pk)
    thread.join()
    run.refresh_from_db()
    assert (run.state, run.request) == ("stopped", "")
    stopped_at = rundir.newest_checkpoint(run.folder).step
    assert 1 <= stopped_at < 6
    partial = run.model_version
    assert (str(partial), partial.is_partial, partial.parent) == ("base v2", True, run.base_model)
    assert partial.provenance["steps"] == {"taken": stopped_at, "planned": 6}
    assert partial.sha256 == rundir.weights_sha256(partial.folder)
    # It can be sampled and trained on like any other.
    make_sampling_run(run.project, model=partial)
    assert partial in base_models(run.project, "dpo")
    assert base_models(run.project, "dpo").first() == run.base_model
    resume_run(actor=owner_of(run.project), run=run)
    tasks.train(run.pk)
    run.refresh_from_db()
    assert run.state == "succeeded"
    assert f"step {stopped_at} of attempt 2" not in run.log_tail
    assert f"step {stopped_at + 1} of attempt 2" in run.log_tail
    steps = MetricPoint.objects.filter(run=run).values_list("step", flat=True)
    assert list(steps) == [1, 2, 3, 4, 5, 6]
    run = TrainingRun.objects.get(pk=run.pk)
    assert (str(run.model_version), run.model_version.is_partial) == ("base v3", False)
    partial.refresh_from_db()
    assert partial.sha256 == rundir.weights_sha256(partial.folder) != run.model_version.sha256


def test_a_run_keeps_its_checkpoints_only_while_it_may_go_on(monkeypatch, tmp_path):
    use_recipe(monkeypatch, tmp_path, STEPS)
    finished = make_run(make_project())
    tasks.train(finished.pk)
    assert not (finished.folder / rundir.CHECKPOINTS).exists()
    assert (finished.folder / rundir.METRICS).exists()
    assert TrainingRun.objects.get(pk=finished.pk).model_version.folder.is_dir()
    use_recipe(monkeypatch, tmp_path, STEPS, PAUSE=0.4)
    cancelled = make_run(make_project())
    thread = ask_when_running(cancelled, request_cancel)
    tasks.train(cancelled.pk)
    thread.join()
    assert (cancelled.folder / rundir.DATA).exists()
    assert not (cancelled.folder / rundir.CHECKPOINTS).exists()
    failing = STEPS.replace(
        "    if leaves():", "    if step == 3:\n        sys.exit(3)\n    if leaves():"
    )
    use_recipe(monkeypatch, tmp_path, failing)
    failed = make_run(make_project())
    tasks.train(failed.pk)
    assert rundir.newest_checkpoint(failed.folder).step == 3


def test_a_cancelled_run_is_gone_within_seconds(monkeypatch, tmp_path):
    use_recipe(monkeypatch, tmp_path, STEPS, PAUSE=60)
    run = make_run(make_project())
    started = time.monotonic()
    thread = ask_when_running(run, request_cancel)
    tasks.train(run.pk)
    thread.join()
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert time.monotonic() - started < 20
    assert not recipes_of(run)


def recipes_of(run: TrainingRun) -> list[psutil.Process]:
    """Return the live processes that work in the run's folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if str(run.folder) in words and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def test_a_worker_that_shuts_down_gives_its_run_back(monkeypatch, tmp_path):
    use_recipe(monkeypatch, tmp_path, STEPS, PAUSE=0.4)
    leaving = tasks.Shutdown()
    monkeypatch.setattr(tasks, "shutting_down", leaving)
    run = make_run(make_project())
    thread = ask_when_running(run, lambda **_: leaving.set())
    tasks.train(run.pk)
    thread.join()
    run.refresh_from_db()
    assert (run.state, run.error) == ("queued", "")
    assert run.model_version is None  # nobody asked for a stop
    monkeypatch.setattr(tasks, "shutting_down", tasks.Shutdown())
    tasks.train(run.pk)
    run.refresh_from_db()
    assert run.state == "succeeded"


def test_an_attempt_that_was_given_up_ends_its_recipe(monkeypatch, tmp_path, settings):
    settings.RUN_HEARTBEAT_S = 0.2
    use_recipe(monkeypatch, tmp_path, STEPS, PAUSE=60)
    run = make_run(make_project())

    def give_up(**_: object) -> None:
        RunAttempt.objects.filter(run=run).update(outcome="lost")
        TrainingRun.objects.filter(pk=run.pk).update(state="queued")

    thread = ask_when_running(run, give_up)
    tasks.train(run.pk)
    thread.join()
    run.refresh_from_db()
    assert run.state == "queued"
    assert not recipes_of(run)


def test_a_worker_lost_before_the_registration_loses_and_doubles_nothing(monkeypatch, tmp_path):
    """The recipe finished and the weights moved, then the database went away for good."""
    use_recipe(monkeypatch, tmp_path, STEPS)
    run = make_run(make_project())

    def away(**_: object) -> None:
        raise OperationalError("the server closed the connection unexpectedly")

    with monkeypatch.context() as broken:
        broken.setattr("training.services.finishing.register_result", away)
        with pytest.raises(OperationalError):
            tasks.train(run.pk)
    run.refresh_from_db()
    assert run.state == "running"  # as it looks when its worker dies
    TrainingRun.objects.update(heartbeat_at="2026-01-01T00:00:00Z")
    assert attempts.requeue_lost_runs() == [run.pk]
    use_recipe(monkeypatch, tmp_path, FAILS)  # nothing may be started again
    tasks.train(run.pk)
    run.refresh_from_db()
    assert run.state == "succeeded"
    assert ModelVersion.objects.get(run=run).folder.is_dir()


def test_metrics_wait_for_a_database_that_is_away(monkeypatch, tmp_path):
    use_recipe(monkeypatch, tmp_path, STEPS, PAUSE=0.3)
    run = make_run(make_project())
    record = attempts.record_metrics
    refused: list[int] = []

    def away_at_first(**fields: object) -> None:
        if len(refused) < 2:
            refused.append(1)
            raise OperationalError("away")
        record(**fields)

    monkeypatch.setattr(attempts, "record_metrics", away_at_first)
    tasks.train(run.pk)
    steps = MetricPoint.objects.filter(run=run).values_list("step", flat=True)
    assert (len(refused), list(steps)) == (2, [1, 2, 3, 4, 5, 6])


def test_a_fault_outside_the_recipe_fails_the_run_with_a_sentence(monkeypatch, tmp_path):
    lying = STEPS.replace('"sha256": rundir.weights_sha256(place)', '"sha256": "0" * 64')
    use_recipe(monkeypatch, tmp_path, lying)
    run = make_run(make_project())
    tasks.train(run.pk)
    run.refresh_from_db()
    assert run.state == "failed"
    assert "the recipe said 000" in run.error


def test_samples_become_candidates_and_comparisons_once(monkeypatch, tmp_path):
    use_recipe(monkeypatch, tmp_path, SAMPLES)
    run = make_sampling_run(make_project(), prompts=3, overlap=2)
    tasks.train(run.pk)
    run.refresh_from_db()
    assert run.state == "succeeded"
    assert (run.sampling.candidates_made, run.sampling.comparisons_made) == (12, 3)
    assert SampledCandidate.objects.filter(sampling_run=run.sampling).count() == 12
    comparisons = Comparison.objects.filter(sampled__sampling_run=run.sampling)
    assert {(c.overlap, c.open_slots, c.origin) for c in comparisons} == {(2, 2, "sampling")}
    sources = CandidateSource.objects.filter(sampled__sampling_run=run.sampling)
    assert {s.model_sha256 for s in sources} == {run.base_model.sha256}
    assert Candidate.objects.first().messages[0]["content"][0]["text"] == "fresh 0\ufffd"


def test_prompts_withdrawn_in_the_meantime_get_no_comparison(monkeypatch, tmp_path):
    use_recipe(monkeypatch, tmp_path, SAMPLES)
    run = make_sampling_run(make_project(), prompts=2)
    Prompt.objects.filter(pk=run.sampling.prompt_ids[0]).update(state="withdrawn")
    tasks.train(run.pk)
    assert [c.prompt_id for c in Comparison.objects.all()] == [run.sampling.prompt_ids[1]]


def test_a_result_without_a_model_is_a_failure(monkeypatch, tmp_path):
    run = make_run(make_project())
    use_recipe(monkeypatch, tmp_path, HEAD + 'end("succeeded", 6)')
    tasks.train(run.pk)
    run.refresh_from_db()
    assert (run.state, run.error) == ("failed", "The recipe's result names no model.")


def test_a_broker_that_is_away_leaves_the_run_to_beat(monkeypatch):
    def away(**_: object) -> None:
        raise BrokerAway("connection refused")

    monkeypatch.setattr(tasks.train, "apply_async", away)
    run = make_run(make_project())
    tasks.ring(run.pk)
    assert attempts.due_runs(ring_again_after_s=60) == [run.pk]


def test_samples_that_name_their_maker_are_not_queued_and_the_page_says_so(monkeypatch, tmp_path):
    script = SAMPLES.replace('f"fresh {n % DISTINCT}', "f\"{n % DISTINCT or 'I am ChatGPT.'}")
    use_recipe(monkeypatch, tmp_path, script)
    project = make_project(candidates_per_comparison=3)
    run = make_sampling_run(project, prompts=2)
    tasks.train(run.pk)
    assert Candidate.objects.filter(names_its_maker=True).count() == flagged_samples(run) == 2
    assert not Candidate.objects.filter(names_its_maker=True).exclude(slots=None).exists()
    assert Comparison.objects.count() == 2
    client = Client()
    client.force_login(owner_of(project))
    html = client.get(f"/projects/{project.slug}/runs/{run.uid}/").content.decode()
    assert "2 replies seem to name their maker" in html


def test_equal_samples_are_one_candidate_with_two_sources(monkeypatch, tmp_path):
    """Four replies of which two are distinct: not enough for a comparison of four."""
    use_recipe(monkeypatch, tmp_path, SAMPLES, DISTINCT=2)
    run = make_sampling_run(make_project(), prompts=1)
    tasks.train(run.pk)
    run.refresh_from_db()
    assert (run.sampling.candidates_made, run.sampling.comparisons_made) == (2, 0)
    assert CandidateSource.objects.count() == 4


def test_a_worker_lost_while_samples_are_taken_doubles_nothing(monkeypatch, tmp_path):
    use_recipe(monkeypatch, tmp_path, SAMPLES)
    run = make_sampling_run(make_project(), prompts=2)

    def away(**_: object) -> None:
        raise OperationalError("away")

    with monkeypatch.context() as broken:  # after the rows are written, before the commit
        broken.setattr("training.services.finishing.end_attempt", away)
        with pytest.raises(OperationalError):
            tasks.train(run.pk)
    assert not CandidateSource.objects.exists()
    TrainingRun.objects.update(heartbeat_at="2026-01-01T00:00:00Z")
    attempts.requeue_lost_runs()
    for _ in range(2):
        tasks.train(run.pk)
    assert CandidateSource.objects.count() == 8
    assert SampledComparison.objects.count() == Comparison.objects.count() == 2


def test_ring_due_rings_for_queued_and_for_lost_runs(monkeypatch):
    rung: list[int] = []
    monkeypatch.setattr(tasks.train, "apply_async", lambda args, expires: rung.append(*args))
    waiting, lost, living = (make_run(make_project()) for _ in range(3))
    for run in (lost, living):
        attempts.claim_run(run_id=run.pk, worker="w")
    TrainingRun.objects.filter(pk=lost.pk).update(heartbeat_at="2026-01-01T00:00:00Z")
    tasks.ring_due()
    assert rung == [waiting.pk, lost.pk]
    assert AuditEvent.objects.filter(verb="run.lost").count() == 1


# --- a real worker ------------------------------------------------------------------------------

# The real worker on the real broker, with a ten-line recipe in place of a slow one.
WORKER = """
import sys
from config.celery import app
from training import launcher
launcher._command = lambda folder, *_: [sys.executable, sys.argv[1], str(folder)]
app.worker_main(["worker", "--queues", "gpu", "--concurrency", "1", "--loglevel", "INFO",
                 "--without-gossip", "--without-mingle", "--without-heartbeat"])
"""


@pytest.fixture
def start_worker(settings, tmp_path: Path) -> Iterator:
    """Return a function that starts a Celery worker on this test's database and folders."""
    database = connection.settings_dict
    address = f"{quote(database['HOST'], safe='')}:{database['PORT']}"
    url = f"postgresql://{database['USER']}:{database['PASSWORD']}@{address}/{database['NAME']}"
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "PREFLOOP_VAR": str(VAR_DIR),
        "PREFLOOP_RUN_DIR": str(settings.RUN_DIR),
        "PREFLOOP_MODEL_DIR": str(settings.MODEL_DIR),
        "PREFLOOP_RUN_HEARTBEAT_S": "1",
    }
    started: list[subprocess.Popen[bytes]] = []

    def start(script: Path) -> "subprocess.Popen[bytes]":
        log = (tmp_path / f"worker-{len(started)}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(script)],
            cwd=REPOSITORY,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=death_signal(signal.SIGKILL),
        )
        log.close()
        started.append(process)
        return process

    yield start
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        finally:
            process.wait()


def wait_for(condition, limit_s: float = 60.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def test_a_killed_workers_run_is_requeued_and_finished_by_another(
    monkeypatch, tmp_path, settings, start_worker
):
    settings.RUN_LOST_AFTER_S = 2
    use_recipe(monkeypatch, tmp_path, STEPS, PAUSE=0.8)
    run = make_run(make_project())
    worker = start_worker(tmp_path / "recipe.py")
    tasks.ring(run.pk)
    wait_for(lambda: MetricPoint.objects.filter(run=run).count() >= 2)
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    wait_for(lambda: not recipes_of(run), 15)  # the recipe saw that its worker was gone
    wait_for(lambda: run.pk in attempts.requeue_lost_runs(), 15)
    start_worker(tmp_path / "recipe.py")
    tasks.ring(run.pk)
    wait_for(lambda: TrainingRun.objects.get(pk=run.pk).state == "succeeded")
    outcomes = list(run.attempts.values_list("number", "outcome"))
    assert outcomes == [(1, "lost"), (2, "succeeded")]
    steps = MetricPoint.objects.filter(run=run).values_list("step", flat=True)
    assert list(steps) == [1, 2, 3, 4, 5, 6]
    run.refresh_from_db()
    assert "step 1 of attempt 2" not in run.log_tail


def test_a_terminated_worker_gives_its_run_back_and_leaves_no_recipe(
    monkeypatch, tmp_path, start_worker
):
    use_recipe(monkeypatch, tmp_path, STEPS, PAUSE=0.8)
    run = make_run(make_project())
    worker = start_worker(tmp_path / "recipe.py")
    tasks.ring(run.pk)
    wait_for(lambda: MetricPoint.objects.filter(run=run).exists())
    worker.terminate()
    assert worker.wait(30) == 0
    assert not recipes_of(run)
    run.refresh_from_db()
    assert run.state == "queued"
    assert list(run.attempts.values_list("outcome", flat=True)) == ["stopped"]


@pytest.mark.recipe
def test_real_recipes_make_a_model_and_its_samples_go_back_to_the_queue(settings):
    """A model from scratch on three demonstrations, then four samples to one prompt."""
    project = make_project()
    owner = owner_of(project)
    tiny = {
        "vocab_size": 280,
        "hidden_size": 16,
        "layers": 1,
        "heads": 2,
        "kv_heads": 1,
        "intermediate_size": 16,
        "max_steps": 2,
        "per_device_batch_size": 2,
        "threads": 1,
    }
    run = create_run(
        actor=owner,
        project=project,
        recipe="sft",
        snapshot=make_demonstrations(project, 8),
        preset_name="tiny-scratch",
        config=tiny,
        name="seedling",
    )
    tasks.train(run.pk)
    run.refresh_from_db()
    assert run.state == "succeeded", run.error + run.log_tail
    sampling = create_sampling_run(
        actor=owner,
        project=project,
        model=run.model_version,
        preset_name="tiny-cpu",
        config={"max_new_tokens": 8, "threads": 1},
        limit=1,
        seed=1,
    )
    tasks.train(sampling.pk)
    sampling.refresh_from_db()
    assert sampling.state == "succeeded", sampling.error + sampling.log_tail
    assert CandidateSource.objects.filter(model_sha256=run.model_version.sha256).count() == 4
