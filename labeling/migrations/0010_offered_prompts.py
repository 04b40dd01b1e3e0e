import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("labeling", "0009_comparisons_for_evaluation"),
    ]

    operations = [
        migrations.AddField(
            model_name="project",
            name="opens_playground",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Lets annotators talk to the project's models, as managers may.",
                verbose_name="open the playground to annotators",
            ),
        ),
        migrations.CreateModel(
            name="OfferedPrompt",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "author_key",
                    models.CharField(
                        help_text="the author's pseudonym: splits go by it", max_length=200
                    ),
                ),
                ("source", models.CharField(default="playground", max_length=32)),
                (
                    "consent",
                    models.TextField(
                        help_text="the sentence that the author agreed to, in English"
                    ),
                ),
                (
                    "messages",
                    models.JSONField(default=list, help_text="as a prompt's; empty once withdrawn"),
                ),
                ("content_hash", models.CharField(max_length=64)),
                (
                    "head_hash",
                    models.CharField(help_text="see labeling/domain/prefixes.py", max_length=64),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("taken", "taken"),
                            ("held", "held for a manager"),
                            ("refused", "refused"),
                            ("withdrawn", "withdrawn"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "personal_data",
                    models.JSONField(
                        default=list, help_text='kinds of personal data found: ["email", ...]'
                    ),
                ),
                ("decided_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "author",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="offered_prompts",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "decided_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="offered_prompts",
                        to="labeling.project",
                    ),
                ),
                (
                    "prompt",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="offers",
                        to="labeling.prompt",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [
                    models.Index(fields=["project", "head_hash"], name="offer_head"),
                    models.Index(fields=["project", "author_key", "-id"], name="offer_author"),
                    models.Index(fields=["project", "state", "-id"], name="offer_state"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ["taken", "held"])),
                        fields=("project", "content_hash"),
                        name="offer_stands_once",
                    )
                ],
            },
        ),
    ]
