"""Replies with everything that a page must show well: code, tables, formulas, other scripts."""

import json

from labeling.models import ImportBatch, Project, User
from labeling.services.imports import create_import, run_import
from labeling.services.projects import publish_guideline
from tests.factories import make_member, make_project, owner_of

REPLIES = [
    "### Plan\n\n##### In short\n\n1. Go *north*.\n2. Then `turn`.\n\n"
    "```python\ndef way(n: int) -> str:\n"
    '    # a remark\n    return f"road {n}" * 3\n```\n\n> Quoted: [link](https://example.org/a)',
    "| road | length in kilometres | surface | toll | open from | open until | remarks |\n"
    "|:--|--:|:-:|---|---|---|---|\n| 1 | 12 | gravel | none | 08:00 | 18:00 | long-winded |\n",
    "$$" + " + ".join(f"alpha_{{{n}}} x^{{{n}}}" for n in range(1, 9)) + "$$\n\nSo $e^x$.",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0643\u0645.\n\n" + "W" * 300 + "\n\nzero\u200bwidth",
    *(f"Take road {n}. " * 20 for n in range(5, 10)),
]
GUIDELINE = "# How to judge\n\n- Helpful first.\n\n| what | how much |\n|-|-|\n| help | most |\n"


def _message(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def make_reading(k: int, prompts: int = 2, **asked: int | bool) -> tuple[Project, User]:
    """Return a project with a guideline and comparisons of K, and somebody to rank them."""
    project = make_project(candidates_per_comparison=k, description="Which way is best?", **asked)
    publish_guideline(actor=owner_of(project), project=project, text=GUIDELINE)
    lines = [
        {
            "prompt": [
                _message("system", "Be brief."),
                _message("user", f"Question {number}: **which way**?"),
                _message("assistant", "Where to?"),
                _message("user", "Home, by `road`."),
            ],
            "responses": [
                {"text": f"{text}\n\n{number}", "model": f"model-{place}"}
                for place, text in enumerate(REPLIES[:k])
            ],
        }
        for number in range(prompts)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    batch = create_import(
        actor=owner_of(project), project=project, file_name="replies.jsonl", chunks=[text.encode()]
    )
    assert run_import(batch_id=batch.pk).state == ImportBatch.State.SUCCEEDED
    return project, make_member(project)
