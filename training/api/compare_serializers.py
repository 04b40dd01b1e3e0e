"""What the API tells of runs that are compared."""

from typing import Any

from rest_framework import serializers

from training.api.serializers import ModelRefSerializer, RunSerializer


class SettingSerializer(serializers.Serializer[Any]):
    """One setting, and its value in each of the runs; null where a run's recipe has none."""

    name = serializers.CharField()
    values = serializers.ListField(child=serializers.JSONField(allow_null=True))


class SettingsSerializer(serializers.Serializer[Any]):
    """What the runs were started with."""

    differing = SettingSerializer(many=True, help_text="two runs that have it differ")
    equal = SettingSerializer(many=True, help_text="the same in all runs")
    of_some = SettingSerializer(many=True, help_text="not every run has it; equal where it is")


class MeasureSerializer(serializers.Serializer[Any]):
    """What was measured last, in each of the runs; null where a run did not measure it."""

    name = serializers.CharField()
    values = serializers.ListField(child=serializers.FloatField(allow_null=True))


class RunCurveSerializer(serializers.Serializer[Any]):
    """One quantity in one run: two lists of one length."""

    run = serializers.UUIDField()
    steps = serializers.ListField(child=serializers.IntegerField())
    values = serializers.ListField(child=serializers.FloatField())


class SharedCurveSerializer(serializers.Serializer[Any]):
    """One quantity that two runs or more measured; of a long run every n-th step."""

    name = serializers.CharField()
    lines = RunCurveSerializer(many=True)


class EstimateSerializer(serializers.Serializer[Any]):
    """A mean and its 95 % interval."""

    value = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class WaypointSerializer(serializers.Serializer[Any]):
    """Where a run was: the mean of some steps, of which this is the last."""

    step = serializers.IntegerField()
    kl = serializers.FloatField()
    reward = serializers.FloatField()


class TrajectorySerializer(serializers.Serializer[Any]):
    """The way of a run while it learned."""

    run = serializers.UUIDField()
    points = WaypointSerializer(many=True)


class MeasuredSerializer(serializers.Serializer[Any]):
    """An evaluated policy; `run` is the one that made it, null if it is none of these."""

    run = serializers.UUIDField(allow_null=True)
    name = serializers.CharField()
    kl = EstimateSerializer()
    reward = EstimateSerializer()


class BestPointSerializer(serializers.Serializer[Any]):
    """The best of n replies."""

    n = serializers.IntegerField()
    kl = serializers.FloatField()
    reward = EstimateSerializer()


class BestOfSerializer(serializers.Serializer[Any]):
    """The best of n replies of the reference, for growing n."""

    name = serializers.CharField()
    points = BestPointSerializer(many=True)


class FrontierPointSerializer(serializers.Serializer[Any]):
    """A point that no other one beats."""

    kl = serializers.FloatField(help_text="to the reference, in nats")
    reward = serializers.FloatField()


class PlaneSerializer(serializers.Serializer[Any]):
    """All that is known of reward over KL, and its frontier by growing KL."""

    trajectories = TrajectorySerializer(many=True)
    measured = MeasuredSerializer(many=True)
    best_of = BestOfSerializer(many=True)
    frontier = FrontierPointSerializer(many=True)


class FrontierSerializer(serializers.Serializer[Any]):
    """Reward over KL for one reward model and one reference; `gold` by the hidden score."""

    reward_model = ModelRefSerializer()
    reference = ModelRefSerializer()
    proxy = PlaneSerializer()
    gold = PlaneSerializer()


class SideBySideSerializer(serializers.Serializer[Any]):
    """Runs in the order asked for; every list of values is in that order."""

    runs = RunSerializer(many=True)
    settings = SettingsSerializer()
    measures = MeasureSerializer(many=True)
    curves = SharedCurveSerializer(many=True)
    frontiers = FrontierSerializer(many=True)
