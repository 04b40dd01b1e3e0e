"""`manage.py seed_demo`: the demo world, its accounts, its base policy, and a queue to rank.

The base policy is trained from scratch by the workers, through the same services and recipes as
any other run: first on the unrelated corpus, then on replies half good and half bad. That corpus
has a project of its own, which shares the model that comes of it: its prompts are nobody's to
rank, to write replies to, or to sample.
"""

import json
import threading
import time
from argparse import ArgumentParser
from statistics import fmean
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from labeling.demo.gold import gold_score
from labeling.demo.world import (
    WORLD_VERSION,
    held_out,
    mixed_demonstrations,
    pretraining_demonstrations,
    prompts,
)
from labeling.domain.content import plain_messages, reply_text
from labeling.models import (
    CandidateSource,
    Comparison,
    ImportBatch,
    Project,
    Role,
    Snapshot,
    User,
)
from labeling.services.accounts import create_user
from labeling.services.imports import create_import, run_import
from labeling.services.projects import create_project, publish_guideline, set_member
from labeling.services.snapshots import freeze_snapshot
from training import demo_presets, tasks
from training.models import ModelVersion, TrainingRun
from training.services.models import share_model
from training.services.runs import create_run
from training.services.sampling import create_sampling_run

SLUG = "demo"
PASSWORD = "rank-then-train"  # noqa: S105 - printed on purpose: the demo listens on loopback
ACCOUNTS = ("admin", "owner", "manager", "annotator", "viewer")
LABELLED = "world"
HELD_OUT = "held-out"
PRETRAINING_SLUG = "demo-pretraining"
PRETRAINING_ROWS = 1500
DEMONSTRATIONS_PER_PROMPT = 8
SAMPLED_PROMPTS = 120
POLL_S = 0.5

GUIDELINE = """Rank the replies from the most to the least helpful.

- A good reply is **polite**, stays **on topic** and tells what to do in **concrete steps**.
- A bad one is curt, rude, off topic, vague or repeats itself.
- Equally good replies share a rank. Skip what you can't judge.
"""


class Command(BaseCommand):
    """Does what is not there yet, so that an interrupted start simply goes on."""

    help = "Set up the demo: accounts, prompts, a base policy trained by the workers, a queue."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Describe the options."""
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument(
            "--inline",
            action="store_true",
            help="run the recipes from this process instead of through the workers",
        )
        parser.add_argument(
            "--without-queue",
            action="store_true",
            help="sample nothing to rank: the loop's rounds will",
        )
        parser.add_argument(
            "--threads", type=int, help="CPU threads of each recipe, where others work beside it"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Seed, step by step, and print the logins."""
        self.inline: bool = options["inline"]
        threads = options["threads"]
        self.changed: dict[str, Any] = {} if threads is None else {"threads": threads}
        seed: int = options["seed"]
        project = self._project(self._accounts())
        self._import(project, "demo-world.jsonl", world_rows(seed))
        policy = self._policy(project, seed)
        if not options["without_queue"]:
            self._queue(project, policy, seed)
        self.stdout.write("Logins, all with the password " + PASSWORD + ":")
        self.stdout.write("  " + "  ".join(ACCOUNTS))

    def _say(self, text: str, *, ending: str = "\n") -> None:
        self.stdout.write(text, ending=ending)
        self.stdout.flush()

    def _accounts(self) -> dict[str, User]:
        """Return one account of each role, made at the first start."""
        people = {user.username: user for user in User.objects.filter(username__in=ACCOUNTS)}
        for name in ACCOUNTS:
            if name not in people:
                people[name] = create_user(
                    actor=None, username=name, password=PASSWORD, is_site_admin=name == "admin"
                )
        return people

    def _project(self, people: dict[str, User]) -> Project:
        project = Project.objects.filter(slug=SLUG).first()
        if project is not None:
            return project
        with transaction.atomic():
            project = create_project(
                actor=people["owner"],
                name="Demo world",
                slug=SLUG,
                description="Short questions about everyday things, answered by a tiny policy.",
                candidates_per_comparison=4,
                overlap=3,
            )
            publish_guideline(actor=people["manager"], project=project, text=GUIDELINE)
            for role in (Role.MANAGER, Role.ANNOTATOR, Role.VIEWER):
                set_member(
                    actor=people["owner"], project=project, user=people[role.value], role=role
                )
        return project

    def _import(self, project: Project, file_name: str, rows: list[dict[str, Any]]) -> None:
        """Import prompts and demonstrations as a file would be, unless that was done."""
        if ImportBatch.objects.filter(project=project, state=ImportBatch.State.SUCCEEDED).exists():
            return
        self._say(f"Importing {file_name} of the demo world {WORLD_VERSION[:12]} ...")
        text = "\n".join(json.dumps(row) for row in rows) + "\n"
        batch = create_import(
            actor=self._owner(project),
            project=project,
            file_name=file_name,
            chunks=[text.encode()],
        )
        batch = run_import(batch_id=batch.pk)
        if batch.state != ImportBatch.State.SUCCEEDED:
            raise CommandError(f"{file_name} was refused: {batch.report}")

    def _owner(self, project: Project) -> User:
        return project.memberships.select_related("user").get(user__username="owner").user

    def _policy(self, project: Project, seed: int) -> ModelVersion:
        """Return the base policy, trained now if need be."""
        found = self._known(project, "demo-policy")
        if found is not None:
            return found
        base = self._pretrained(project, seed)
        return self._trained(project, "demo-policy", demo_presets.BASE_SFT_CONFIG, base, seed)

    def _known(self, project: Project, name: str) -> ModelVersion | None:
        return ModelVersion.objects.filter(project=project, name=name).order_by("version").first()

    def _pretrained(self, project: Project, seed: int) -> ModelVersion:
        """Return the model of the unrelated corpus, shared by the project that it comes from."""
        owner = self._owner(project)
        source = Project.objects.filter(slug=PRETRAINING_SLUG).first() or create_project(
            actor=owner,
            name="Pre-training of the demo",
            slug=PRETRAINING_SLUG,
            description="Arithmetic and lists: from them the demo's policy learns to write.",
        )
        self._import(source, "demo-pretraining.jsonl", pretraining_rows(seed))
        name, config = "demo-pretrained", demo_presets.PRETRAIN_CONFIG
        model = self._known(source, name) or self._trained(source, name, config, None, seed)
        share_model(actor=owner, model=model, project=project)
        return model

    def _trained(
        self,
        project: Project,
        name: str,
        config: dict[str, Any],
        base: ModelVersion | None,
        seed: int,
    ) -> ModelVersion:
        """Return a model trained now on all demonstrations of the project."""
        run = TrainingRun.objects.filter(
            project=project, name=name, state__in=["queued", "running"]
        ).first()
        if run is None:
            owner = self._owner(project)
            with transaction.atomic():
                snapshot = freeze_snapshot(
                    actor=owner,
                    project=project,
                    kind=Snapshot.Kind.DEMONSTRATIONS,
                    note=f"for {name}",
                )
                run = create_run(
                    actor=owner,
                    project=project,
                    recipe="sft",
                    snapshot=snapshot,
                    base_model=base,
                    config={**config, **self.changed},
                    seed=seed,
                    name=name,
                )
        self._follow(run, f"Training {name}")
        return ModelVersion.objects.get(run=run)

    def _queue(self, project: Project, policy: ModelVersion, seed: int) -> None:
        """Sample the base policy and queue its replies, unless that was done."""
        if Comparison.objects.filter(project=project).exists():
            return
        run = TrainingRun.objects.filter(
            project=project, recipe="sample", state__in=["queued", "running"]
        ).first()
        if run is None:
            run = create_sampling_run(
                actor=self._owner(project),
                project=project,
                model=policy,
                config={**demo_presets.SAMPLE_CONFIG, **self.changed},
                seed=seed,
                tags=[LABELLED],
                exclude_tags=[HELD_OUT],
                limit=SAMPLED_PROMPTS,
                overlap=project.overlap,
            )
        self._follow(run, "Sampling the queue")
        score = fmean(gold_scores(run))
        self._say(
            f"  {policy} scores {score:.2f} on the hidden score: 0 is the bad replies' mean,"
            " 1 the good ones'"
        )

    def _follow(self, run: TrainingRun, what: str) -> None:
        """Wait for a run, telling how far it is; raise CommandError if it doesn't succeed."""
        started, ended = time.monotonic(), threading.Event()
        if self.inline:
            teller = threading.Thread(target=self._tell_apart, args=(run.pk, what, ended))
            teller.start()
            try:
                tasks.train(run.pk)
            finally:
                ended.set()
                teller.join()
        else:
            tasks.ring(run.pk)
            self._tell(run.pk, what, ended)
        run.refresh_from_db()
        if run.state != TrainingRun.State.SUCCEEDED:
            raise CommandError(f"{what} ended as {run.state}: {run.error}\n{run.log_tail}")
        self._say(f"  {what}: done in {time.monotonic() - started:.0f} s")

    def _tell(self, run_id: int, what: str, ended: threading.Event) -> None:
        """Say how far a run is, at every tenth, until it or its `ended` is over."""
        shown = -1
        while not ended.wait(POLL_S):
            run = TrainingRun.objects.only("state", "step", "total_steps").get(pk=run_id)
            if not run.is_live:
                return
            share = 100 * run.step // run.total_steps if run.total_steps else 0
            if share // 10 != shown:
                shown = share // 10
                self._say(f"  {what}: {share} %")

    def _tell_apart(self, run_id: int, what: str, ended: threading.Event) -> None:
        """Do as `_tell` in a thread, whose connection ends with it."""
        try:
            self._tell(run_id, what, ended)
        finally:
            connection.close()


def gold_scores(run: TrainingRun) -> list[float]:
    """Return the hidden score of each reply that a sampling run made, after the run."""
    sources = CandidateSource.objects.filter(sampled__sampling_run__run=run)
    candidates = [s.candidate for s in sources.select_related("candidate__prompt")]
    return [
        gold_score(plain_messages(c.prompt.messages), reply_text(c.messages)) for c in candidates
    ]


def world_rows(seed: int) -> list[dict[str, Any]]:
    """Return the demo world as lines of an import: prompts with tags and their demonstrations."""
    shown: dict[str, list[str]] = {}
    for prompt, reply in mixed_demonstrations(seed, DEMONSTRATIONS_PER_PROMPT):
        shown.setdefault(prompt.key, []).append(reply)
    return [
        {
            "external_id": prompt.key,
            "prompt": prompt.messages,
            "tags": [LABELLED, *prompt.tags, *([HELD_OUT] if held_out(prompt) else [])],
            "demonstrations": shown.get(prompt.key, []),
        }
        for prompt in prompts()
    ]


def pretraining_rows(seed: int) -> list[dict[str, Any]]:
    """Return the unrelated corpus as lines of an import."""
    return [
        {"prompt": messages, "demonstrations": [reply]}
        for messages, reply in pretraining_demonstrations(seed, PRETRAINING_ROWS)
    ]
