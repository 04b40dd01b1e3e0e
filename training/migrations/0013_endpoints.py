import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """Outside models: where they answer, and the kind of model that has no weights here."""

    dependencies = [
        ("training", "0012_constitutions"),
    ]

    operations = [
        migrations.CreateModel(
            name="Endpoint",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=120, verbose_name="name")),
                (
                    "base_url",
                    models.CharField(
                        help_text="Where the API begins, for example https://models.example.org/v1.",
                        max_length=500,
                        verbose_name="base URL",
                    ),
                ),
                (
                    "model_name",
                    models.CharField(
                        help_text="As the server calls it.", max_length=200, verbose_name="model"
                    ),
                ),
                (
                    "key_variable",
                    models.CharField(
                        blank=True,
                        help_text="The variable that holds the key where workers and web run, for example OPENAI_API_KEY.",
                        max_length=100,
                        verbose_name="key's environment variable",
                    ),
                ),
                (
                    "key_cipher",
                    models.TextField(blank=True, help_text="the key under the newest secret"),
                ),
                (
                    "concurrency",
                    models.PositiveSmallIntegerField(
                        default=4,
                        help_text="At most so many are under way.",
                        verbose_name="requests at a time",
                    ),
                ),
                (
                    "requests_per_minute",
                    models.PositiveIntegerField(
                        default=0,
                        help_text="0: as many as the server takes.",
                        verbose_name="requests a minute",
                    ),
                ),
                (
                    "silence_s",
                    models.PositiveIntegerField(
                        default=60,
                        help_text="Without a byte for so long, a request is tried again.",
                        verbose_name="longest silence in seconds",
                    ),
                ),
                (
                    "answer_s",
                    models.PositiveIntegerField(
                        default=300,
                        help_text="A reply that is not whole by then is tried again.",
                        verbose_name="longest answer in seconds",
                    ),
                ),
                (
                    "retries",
                    models.PositiveSmallIntegerField(
                        default=4,
                        help_text="Tries after the first one, further apart each time.",
                        verbose_name="retries",
                    ),
                ),
                (
                    "allows_private",
                    models.BooleanField(
                        default=False,
                        help_text="Lets this endpoint be at a private or local address, and without https. Only for a server of your own: whoever runs it is reached from within your network.",
                        verbose_name="may lie in a private network",
                    ),
                ),
                (
                    "is_active",
                    models.BooleanField(
                        default=True,
                        help_text="Switched off, nobody asks it any more.",
                        verbose_name="in use",
                    ),
                ),
                (
                    "problem",
                    models.TextField(blank=True, help_text="what the last test found wrong"),
                ),
                (
                    "problem_parts",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text="what `problem` is made of, to be said in any language",
                    ),
                ),
                ("checked_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "created_by",
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
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="endpoints",
                        to="labeling.project",
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
                "constraints": [
                    models.UniqueConstraint(fields=("name",), name="endpoint_name_unique"),
                    models.CheckConstraint(
                        condition=Q(("key_variable", ""), ("key_cipher", ""), _connector="OR"),
                        name="endpoint_one_key",
                    ),
                ],
            },
        ),
        migrations.AlterField(
            model_name="modelversion",
            name="kind",
            field=models.CharField(
                choices=[
                    ("policy", "policy"),
                    ("reward", "reward model"),
                    ("outside", "outside model"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="modelversion",
            name="path",
            field=models.CharField(
                blank=True,
                help_text="under MODEL_DIR, or absolute for a model brought from outside; empty for one that answers elsewhere",
                max_length=500,
            ),
        ),
        migrations.AddField(
            model_name="modelversion",
            name="endpoint",
            field=models.ForeignKey(
                blank=True,
                help_text="where an outside model answers",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="model_versions",
                to="training.endpoint",
            ),
        ),
        migrations.AddConstraint(
            model_name="modelversion",
            constraint=models.CheckConstraint(
                condition=Q(("endpoint__isnull", False), ("kind", "outside"), ("path", ""))
                | Q(models.Q(("kind", "outside"), _negated=True), ("endpoint__isnull", True)),
                name="outside_models_have_endpoints",
            ),
        ),
    ]
