import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0010_contests"),
    ]

    operations = [
        migrations.CreateModel(
            name="ServedModel",
            fields=[
                (
                    "model",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="served",
                        serialize=False,
                        to="training.modelversion",
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "waiting for a worker"),
                            ("loading", "being loaded"),
                            ("ready", "ready"),
                            ("stopped", "stopped"),
                            ("failed", "failed"),
                        ],
                        default="waiting",
                        max_length=16,
                    ),
                ),
                ("port", models.PositiveIntegerField(blank=True, null=True)),
                ("token", models.CharField(blank=True, editable=False, max_length=64)),
                ("worker", models.CharField(blank=True, max_length=200)),
                (
                    "problem",
                    models.TextField(blank=True, help_text="why the child ended, for who asked"),
                ),
                ("lease_until", models.DateTimeField()),
                ("asked_at", models.DateTimeField()),
                (
                    "heartbeat_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="the worker's last sign of life, or when it was rung for",
                        null=True,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("state__in", ["waiting", "loading", "ready"])),
                        fields=["state", "lease_until"],
                        name="served_live",
                    )
                ],
            },
        ),
    ]
