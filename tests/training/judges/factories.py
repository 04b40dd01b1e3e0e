"""Projects with something for an AI judge to judge, and judges to ask."""

import random
from typing import Any

from labeling.demo.world import bad_reply, good_reply
from labeling.demo.world import prompts as world_prompts
from labeling.domain.records import Reply, Source
from labeling.models import Comparison, Project
from labeling.services.ai_judgements import give_to_ai
from labeling.services.comparisons import queue_comparisons
from labeling.services.prompts import ensure_candidates, ensure_sources
from tests.factories import make_project, make_prompt, owner_of
from tests.training.factories import make_model
from training.judges.models import Judge
from training.judges.services import create_judge

# A recipe in ten lines: of each comparison the first slot wins, but for the one it leaves out.
JUDGES = """
import itertools
with (folder / rundir.JUDGEMENTS).open("w") as file:
    for number, line in enumerate((folder / rundir.DATA).read_text().splitlines()):
        row = json.loads(line)
        count = len(row["replies"])
        pairs = [{"first": a, "second": b, "soft": 0.75, "lean": 0.3, "consistent": True}
                 for a, b in itertools.combinations(range(count), 2)]
        file.write(json.dumps({
            "comparison_id": row["comparison_id"], "tiers": [[n] for n in range(count)],
            "pairs": pairs, "mass": 0.9, "reasons": [{"texts": ["so" + chr(0) + "so"]}],
            "principle": row["principle"],
            "left_out": "too_long" if number == LEAVES else None}) + chr(10))
end("succeeded", 6)
"""


def make_judge(project: Project, name: str = "judge", **fields: Any) -> Judge:
    """Return a new judge; of a policy from outside where nothing else is said."""
    if fields.get("source") != "gold":
        fields["model"] = fields.get("model") or make_model(project, name=f"{name}-model")
    return create_judge(actor=owner_of(project), project=project, name=name, **fields)


def make_demo_project(comparisons: int = 3, *, for_ai: bool = True, k: int = 3) -> Project:
    """Return a project with comparisons of the demo world's good and bad replies."""
    project = make_project(candidates_per_comparison=k)
    short = [one for one in world_prompts() if len(one.messages) == 1][:comparisons]
    rng = random.Random(3)
    for one in short:
        prompt = make_prompt(project, text=one.messages[0]["content"], candidates=0)
        texts = [good_reply(one, rng), *(bad_reply(one, rng) for _ in range(k - 1))]
        add_replies(prompt, texts)
        queue_comparisons(actor=None, project=project, prompt_ids=[prompt.pk])
    if for_ai:
        give_to_ai(actor=None, project=project, comparison_ids=ids_of(project))
    return project


def add_replies(prompt: Any, texts: list[str]) -> None:
    """Give a prompt replies of these texts."""
    rows = [
        (
            prompt,
            Reply(
                [{"role": "assistant", "content": [{"type": "text", "text": text}]}],
                (Source(f"model-{n}"),),
            ),
        )
        for n, text in enumerate(texts)
    ]
    made, _ = ensure_candidates(replies=rows)
    ensure_sources(
        sources=[
            (row, reply.sources[0]) for row, (_, reply) in zip(made.values(), rows, strict=True)
        ],
        batch=None,
    )


def ids_of(project: Project) -> list[int]:
    """Return the project's comparisons, oldest first."""
    return list(
        Comparison.objects.filter(project=project).order_by("pk").values_list("pk", flat=True)
    )
