"""What the API tells of quality: shares with their intervals, a person's own and a project's."""

from typing import Any

from rest_framework import serializers

from labeling.domain.agreement import Undefined
from labeling.selectors.quality import ProjectQuality


class ShareSerializer(serializers.Serializer[Any]):
    """A share of pairs with its 95 % interval, and the comparisons that it rests on."""

    value = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()
    pairs = serializers.IntegerField()
    comparisons = serializers.IntegerField(source="clusters")


class OwnAgreementSerializer(serializers.Serializer[Any]):
    """Agreement with others, and with gold up to yesterday; null where it rests on too little."""

    others = ShareSerializer(allow_null=True)
    gold = ShareSerializer(allow_null=True)


class FirstShownSerializer(serializers.Serializer[Any]):
    """How often what was shown first won, where one candidate alone was best."""

    share = ShareSerializer()
    chance = serializers.FloatField()
    leans = serializers.BooleanField()


class AnnotatorQualitySerializer(serializers.Serializer[Any]):
    """How one annotator works; a name is the pseudonym to those who don't manage the project."""

    name = serializers.CharField()
    kind = serializers.CharField()
    judgements = serializers.IntegerField()
    median_s = serializers.FloatField(allow_null=True)
    tie_share = serializers.FloatField(allow_null=True)
    skips = serializers.IntegerField()
    agreement = ShareSerializer(allow_null=True)
    gold = ShareSerializer(allow_null=True)
    gold_tau_b = serializers.FloatField(allow_null=True)
    first_shown = FirstShownSerializer(allow_null=True)


class StrengthSerializer(serializers.Serializer[Any]):
    """A strength in logits from its group's mean, with its 95 % interval."""

    value = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class ModelStrengthSerializer(serializers.Serializer[Any]):
    """One model, its pairs with others, and how strong they show it to be."""

    name = serializers.CharField()
    comparisons = serializers.IntegerField()
    pairs = serializers.IntegerField()
    won = serializers.FloatField()
    plain = StrengthSerializer()
    at_equal_length = StrengthSerializer()


class ModelTableSerializer(serializers.Serializer[Any]):
    """A project's models in groups that were compared with each other, the best first."""

    judgements = serializers.IntegerField()
    is_all = serializers.BooleanField()
    groups = serializers.ListField(child=ModelStrengthSerializer(many=True))
    left_out = serializers.IntegerField()


class QualitySerializer(serializers.Serializer[Any]):
    """How a project's annotators work, from its newest judgements.

    `alpha` is null where it is undefined; `alpha_undefined` then says why.
    """

    judgements = serializers.IntegerField()
    since = serializers.DateTimeField(allow_null=True)
    is_all = serializers.BooleanField()
    agreement = ShareSerializer(allow_null=True)
    alpha = serializers.SerializerMethodField()
    alpha_undefined = serializers.SerializerMethodField()
    annotators = AnnotatorQualitySerializer(many=True)

    def get_alpha(self, quality: ProjectQuality) -> float | None:
        """Return Krippendorff's alpha."""
        return None if isinstance(quality.alpha, Undefined) else quality.alpha

    def get_alpha_undefined(self, quality: ProjectQuality) -> str:
        """Return why there is no alpha, empty where there is one."""
        return quality.alpha.value if isinstance(quality.alpha, Undefined) else ""
