"""Makes the project of bench-annotator: real prompts with real replies, in comparisons of four.

Run in the environment of the server to be measured: `python -m bench.annotator_world FILE`. Prints
the project's short name and the accounts as JSON.
"""

import json
import sys
from io import StringIO
from pathlib import Path

PASSWORD = "read-then-rank"
ANNOTATORS = ("swift", "plain")


def make(file: Path) -> dict[str, object]:
    """Import the file into a new project with one account for each of ANNOTATORS."""
    from django.core.management import call_command

    from labeling.models import Comparison, Membership, Role, User
    from labeling.services.projects import create_project

    admin = User.objects.create_superuser("bench-admin", password=PASSWORD)
    project = create_project(
        actor=admin, name="Bench", slug="bench", candidates_per_comparison=4, overlap=2
    )
    for name in ANNOTATORS:
        user = User.objects.create_user(name, password=PASSWORD)
        Membership.objects.create(project=project, user=user, role=Role.ANNOTATOR)
    call_command("import_prompts", project.slug, str(file), stdout=StringIO())
    comparisons = Comparison.objects.filter(project=project).count()
    return {"slug": project.slug, "comparisons": comparisons}


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps(make(Path(sys.argv[1]))))
