"""Runs side by side, as figures."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.base import ApiView, answers
from training.api.compare_serializers import SideBySideSerializer
from training.compared_charts import MOST_RUNS
from training.frontier import Plane
from training.side_by_side import FEWEST_RUNS, SideBySide, side_by_side

_RUN = OpenApiParameter(
    "run",
    UUID,
    required=True,
    many=True,
    description=f"{FEWEST_RUNS} to {MOST_RUNS} runs of the project, each by a parameter of its own",
)


class CompareView(ApiView):
    """Several runs of a project."""

    @extend_schema(
        operation_id="runs_compare", parameters=[_RUN], responses=answers(SideBySideSerializer)
    )
    def get(self, request: Request, slug: str) -> Response:
        """Hold runs against each other: settings, measures, curves, and reward over KL."""
        project = self.project(slug, "run.view")
        found = side_by_side(project, request.query_params.getlist("run"))
        return Response(SideBySideSerializer(_told(found)).data)


def _told(found: SideBySide) -> dict[str, Any]:
    uids = [run.uid for run in found.runs]
    return {
        "runs": found.runs,
        "settings": found.settings,
        "measures": found.measures,
        "curves": [
            {
                "name": name,
                "lines": [
                    {"run": uid, "steps": [p[0] for p in points], "values": [p[1] for p in points]}
                    for uid, points in zip(uids, lines, strict=True)
                    if points
                ],
            }
            for name, lines in found.curves.items()
        ],
        "frontiers": [
            {
                "reward_model": one.reward_model,
                "reference": one.reference,
                "proxy": _plane(one.proxy, uids),
                "gold": _plane(one.gold, uids),
            }
            for one in found.frontiers
        ],
    }


def _plane(plane: Plane, uids: Sequence[UUID]) -> dict[str, Any]:
    """Return a plane with runs by their uids instead of their places."""
    by_place = dict(enumerate(uids, start=1))
    return {
        "trajectories": [
            {
                "run": by_place[way.place],
                "points": [
                    {"step": step, "kl": kl, "reward": reward} for step, kl, reward in way.points
                ],
            }
            for way in plane.trajectories
        ],
        "measured": [
            {
                "run": by_place.get(one.place),
                "name": one.name,
                "kl": one.kl,
                "reward": one.reward,
            }
            for one in plane.measured
        ],
        "best_of": [
            {
                "name": best.name,
                "points": [{"n": n, "kl": kl, "reward": mean} for n, kl, mean in best.points],
            }
            for best in plane.best_of
        ],
        "frontier": [{"kl": kl, "reward": reward} for kl, reward in plane.frontier()],
    }
