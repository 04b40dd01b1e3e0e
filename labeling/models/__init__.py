"""The tables of the labelling half, one module a subject."""

from labeling.models.accounts import AuditEvent, User
from labeling.models.gold import GoldItem
from labeling.models.judgements import (
    Assignment,
    Comparison,
    ComparisonCandidate,
    Judgement,
    PreferencePair,
)
from labeling.models.lookups import AnyOf
from labeling.models.offers import OfferedPrompt
from labeling.models.projects import (
    Annotator,
    FlagSet,
    Guideline,
    Membership,
    Project,
    Role,
    Tag,
)
from labeling.models.prompts import (
    Candidate,
    CandidateSource,
    Demonstration,
    ImportBatch,
    Prompt,
    PromptGroup,
)
from labeling.models.snapshots import Export, Snapshot, SnapshotItem, SnapshotRedaction
from labeling.models.writing import WritingAssignment

__all__ = [
    "Annotator",
    "AnyOf",
    "Assignment",
    "AuditEvent",
    "Candidate",
    "CandidateSource",
    "Comparison",
    "ComparisonCandidate",
    "Demonstration",
    "Export",
    "FlagSet",
    "GoldItem",
    "Guideline",
    "ImportBatch",
    "Judgement",
    "Membership",
    "OfferedPrompt",
    "PreferencePair",
    "Project",
    "Prompt",
    "PromptGroup",
    "Role",
    "Snapshot",
    "SnapshotItem",
    "SnapshotRedaction",
    "Tag",
    "User",
    "WritingAssignment",
]
