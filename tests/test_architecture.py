"""The plan of the house, held against the code: who may load whom."""

import json
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
TORCH = ["torch", "transformers", "trl", "peft", "accelerate", "datasets"]
FRAMEWORK = ["django", "celery", "rest_framework", "labeling.models"]


def _modules(*folders: str) -> list[str]:
    """Return the names of the modules in the folders."""
    return [
        f"{folder.replace('/', '.')}.{path.stem}"
        for folder in folders
        for path in sorted((REPOSITORY / folder).glob("*.py"))
        if path.stem != "__init__"
    ]


def _run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def _loaded(code: str, names: list[str], **environment: str) -> list[str]:
    """Return which of the modules a fresh process has loaded after the code."""
    tail = f"import json, sys; print(json.dumps([n for n in {names!r} if n in sys.modules]))"
    last = _run("-c", f"{code}\n{tail}", **environment).stdout.splitlines()[-1]
    return list(json.loads(last))


def test_the_contracts_between_the_rooms_are_kept() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [str(linter), "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 kept, 0 broken" in done.stdout


def test_a_web_process_loads_no_torch() -> None:
    code = "import config.wsgi, django.urls; django.urls.get_resolver().url_patterns"
    assert _loaded(code, [*TORCH, "django"]) == ["django"]


def test_a_celery_process_loads_no_torch() -> None:
    code = (
        "from config.celery import app; app.loader.import_default_modules()\n"
        "import labeling.tasks, training.tasks"
    )
    assert _loaded(code, [*TORCH, "celery"]) == ["celery"]


def test_the_pure_modules_load_neither_framework_nor_torch() -> None:
    names = _modules("labeling/domain", "labeling/demo")
    assert {"labeling.domain.records", "labeling.demo.gold"} <= set(names)
    code = f"import {', '.join([*names, 'training.configs', 'training.rundir'])}"
    assert _loaded(code, [*TORCH, *FRAMEWORK]) == []


def test_recipes_load_no_web_framework() -> None:
    names = _modules("training/recipes")
    assert {f"training.recipes.{n}" for n in ("sft", "reward", "dpo", "sample")} <= set(names)
    assert _loaded(f"import {', '.join(names)}", [*FRAMEWORK, "config", "torch"]) == ["torch"]


def test_labelling_is_complete_without_training(tmp_path: Path) -> None:
    alone = {"PREFLOOP_WITHOUT_TRAINING": "1", "PREFLOOP_VAR": str(tmp_path)}
    _run("manage.py", "check", **alone)
    code = (
        "import django; django.setup()\n"
        "from django.urls import get_resolver, reverse\n"
        "get_resolver().url_patterns\n"
        "assert reverse('labeling_api:projects') == '/api/v1/projects/'\n"
        "import labeling.tasks"
    )
    assert _loaded(code, ["training.models", "training.views", "labeling.models"], **alone) == [
        "labeling.models"
    ]
