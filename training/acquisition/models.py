"""What a run of the recipe `score` scores, and what it found."""

from django.db import models


class Scoring(models.Model):
    """Candidates scored by every member of a reward model, which stands in the run."""

    run = models.OneToOneField(
        "training.TrainingRun", on_delete=models.CASCADE, related_name="scoring", primary_key=True
    )
    candidate_ids = models.JSONField(default=list)
    scores = models.JSONField(
        default=dict, blank=True, help_text="by a candidate's id: one score of each member"
    )

    def __str__(self) -> str:
        return f"scores of {self.run_id}"
