"""What can go wrong with runs and models, in the one shape of labeling/exceptions.py."""

from labeling.exceptions import Conflict


class RunMovedOn(Conflict):
    """The run is no longer in a state in which this can be done to it."""

    code = "run_moved_on"


class AttemptLost(Conflict):
    """The attempt was given up for lost; another one may be under way."""

    code = "attempt_lost"


class ModelMissing(Conflict):
    """The weights are not where they should be, or not the ones that were meant."""

    code = "model_missing"


class RoundMovedOn(Conflict):
    """The round is no longer in a state in which this can be done to it."""

    code = "round_moved_on"


class ContestEnded(Conflict):
    """People are no longer asked which of the two policies is better."""

    code = "contest_ended"
