"""Writes of texts: prompts, candidates and their sources, demonstrations.

Everything is found again by its content hash, so that adding the same text twice adds nothing.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from labeling.domain.blindness import names_its_maker
from labeling.domain.content import content_hash, first_user_hash, parse_reply, reply_text
from labeling.domain.records import Record, Reply, Source
from labeling.domain.rendering import RENDERER_VERSION, render_messages, render_text
from labeling.domain.splits import Groups
from labeling.exceptions import InvalidInput
from labeling.models import (
    Candidate,
    CandidateSource,
    Demonstration,
    ImportBatch,
    Project,
    Prompt,
    PromptGroup,
    User,
)
from labeling.services import audit
from labeling.services.projects import ensure_tags

BATCH = 1000
# Settings that have a column of their own, under the names that samplers give them.
_SETTING_NAMES = {
    "temperature": ("temperature",),
    "top_p": ("top_p",),
    "max_new_tokens": ("max_new_tokens", "max_tokens"),
    "seed": ("seed",),
    "finish_reason": ("finish_reason",),
    "logprob": ("logprob",),
}


@dataclass(frozen=True)
class Sample:
    """One reply that a model gave to a prompt of the project, with all that is known of it."""

    prompt_id: int
    text: str
    model_name: str
    model_sha256: str = ""
    finish_reason: str = ""
    seed: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_new_tokens: int | None = None
    logprob: float | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)


def _split_keys(record: Record) -> list[str]:
    """Return the keys by which a prompt belongs to a group; the first names a new group."""
    keys = [f"u:{first_user_hash(record.prompt)}"]
    return [f"a:{record.author}", *keys] if record.author else keys


def _existing_groups(project: Project, records: Sequence[Record]) -> dict[str, PromptGroup]:
    """Return the group that each key of the records already has, the oldest where several."""
    users = {first_user_hash(r.prompt) for r in records}
    authors = {r.author for r in records if r.author}
    prompts = Prompt.objects.filter(project=project).select_related("group").order_by("-group_id")
    found: dict[str, PromptGroup] = {}
    for prompt in prompts.filter(first_user_hash__in=users):
        found[f"u:{prompt.first_user_hash}"] = prompt.group
    for prompt in prompts.filter(author_key__in=authors):
        found[f"a:{prompt.author_key}"] = prompt.group
    return found


def _group_prompts(project: Project, records: Sequence[Record]) -> dict[str, PromptGroup]:
    """Return the group of every key of the records, joining groups that the records link.

    The older of two linked groups stays and takes over the prompts of the younger.
    """
    existing = _existing_groups(project, records)
    groups = Groups()
    for key, group in existing.items():
        groups.join(("group", group.pk), key)
    for record in records:
        first, *others = _split_keys(record)
        for other in others:
            groups.join(*sorted((groups.find(first), groups.find(other)), key=_seniority))
    by_root: dict[Any, PromptGroup] = {("group", g.pk): g for g in existing.values()}
    _move_joined(groups, by_root)
    return _name_groups(project, records, groups, by_root)


def _seniority(root: Any) -> tuple[bool, Any]:
    """Sort the groups that exist before new keys, and the oldest of them first."""
    return not isinstance(root, tuple), root


def _move_joined(groups: Groups, by_root: dict[Any, PromptGroup]) -> None:
    """Move the prompts of groups that were joined into an older one."""
    for node, group in list(by_root.items()):
        root = groups.find(node)
        if root != node:
            Prompt.objects.filter(group=group).update(group=by_root[root])


def _name_groups(
    project: Project, records: Sequence[Record], groups: Groups, by_root: dict[Any, PromptGroup]
) -> dict[str, PromptGroup]:
    """Return each key's group, making those that are new; a group's first key is its name."""
    fresh = {}
    for record in records:
        root = groups.find(_split_keys(record)[0])
        if root not in by_root and root not in fresh:
            fresh[root] = PromptGroup(project=project, key=content_hash([{"key": root}]))
    # A group that was emptied by a join may hold this name already: it is used again.
    PromptGroup.objects.bulk_create(fresh.values(), ignore_conflicts=True, batch_size=BATCH)
    names = {group.key: root for root, group in fresh.items()}
    for group in PromptGroup.objects.filter(project=project, key__in=names):
        by_root[names[group.key]] = group
    keys = {key for record in records for key in _split_keys(record)}
    return {key: by_root[groups.find(key)] for key in keys}


def ensure_prompts(
    *, project: Project, records: Sequence[Record]
) -> tuple[dict[str, Prompt], set[str]]:
    """Return the prompts of the records by content hash, and the hashes of those that are new."""
    group_of = _group_prompts(project, records)
    tags = ensure_tags(project=project, names={t for r in records for t in r.tags})
    firsts: dict[str, Record] = {}
    for record in records:
        firsts.setdefault(content_hash(record.prompt), record)
    known = _by_hash(Prompt.objects.filter(project=project), firsts)
    new = {key: record for key, record in firsts.items() if key not in known}
    _refuse_taken_ids(project, new, known, firsts)
    made = Prompt.objects.bulk_create(
        [_new_prompt(project, group_of, key, record) for key, record in new.items()],
        batch_size=BATCH,
    )
    _complete_known(known, firsts)
    known.update({prompt.content_hash: prompt for prompt in made})
    through = Prompt.tags.through
    through.objects.bulk_create(
        [
            through(prompt_id=known[key].pk, tag_id=tags[name].pk)
            for key, record in firsts.items()
            for name in record.tags
        ],
        ignore_conflicts=True,
        batch_size=BATCH,
    )
    return known, set(new)


def _new_prompt(
    project: Project, group_of: Mapping[str, PromptGroup], key: str, record: Record
) -> Prompt:
    return Prompt(
        project=project,
        group=group_of[_split_keys(record)[0]],
        messages=record.prompt,
        content_hash=key,
        first_user_hash=first_user_hash(record.prompt),
        author_key=record.author,
        external_id=record.external_id,
        html=render_messages(record.prompt),
        renderer_version=RENDERER_VERSION,
    )


def _complete_known(known: Mapping[str, Prompt], firsts: Mapping[str, Record]) -> None:
    """Fill in the author and external id of prompts that came without them before."""
    changed = []
    for key, prompt in known.items():
        record = firsts[key]
        author = prompt.author_key or record.author
        external_id = prompt.external_id or record.external_id
        if (author, external_id) != (prompt.author_key, prompt.external_id):
            prompt.author_key, prompt.external_id = author, external_id
            changed.append(prompt)
    Prompt.objects.bulk_update(changed, ["author_key", "external_id"], batch_size=BATCH)


def _refuse_taken_ids(
    project: Project,
    new: Mapping[str, Record],
    known: Mapping[str, Prompt],
    firsts: Mapping[str, Record],
) -> None:
    """Raise InvalidInput where an external id already names another prompt."""
    ids: dict[str, str] = {}
    errors: dict[str, list[str]] = {}
    for key, record in firsts.items():
        if record.external_id and ids.setdefault(record.external_id, key) != key:
            errors[record.external_id] = [_("names two different prompts in this file.")]
    unnamed = {r.external_id for k, r in firsts.items() if k in new or not known[k].external_id}
    taken = Prompt.objects.filter(project=project, external_id__in=unnamed - {""})
    for prompt in taken.only("external_id", "content_hash"):
        if ids.get(prompt.external_id) != prompt.content_hash:
            errors[prompt.external_id] = [_("already names another prompt of this project.")]
    if errors:
        raise InvalidInput(
            _("Some external ids are taken. Rename them in the file."), errors=errors
        )


def _by_hash(queryset: Any, hashes: Iterable[str]) -> dict[str, Any]:
    """Return the rows of these content hashes, asked for in batches."""
    wanted = list(hashes)
    found = {}
    for start in range(0, len(wanted), BATCH):
        for row in queryset.filter(content_hash__in=wanted[start : start + BATCH]):
            found[row.content_hash] = row
    return found


def ensure_candidates(
    *, replies: Sequence[tuple[Prompt, Reply]]
) -> tuple[dict[tuple[int, str], Candidate], int]:
    """Return the candidates by (prompt id, content hash), and how many of them are new."""
    wanted = {(prompt.pk, content_hash(r.messages)): r for prompt, r in replies}
    known: dict[tuple[int, str], Candidate] = {}
    prompt_ids = sorted({prompt_id for prompt_id, _ in wanted})
    for start in range(0, len(prompt_ids), BATCH):
        for row in Candidate.objects.filter(prompt_id__in=prompt_ids[start : start + BATCH]):
            known[(row.prompt_id, row.content_hash)] = row
    made = Candidate.objects.bulk_create(
        [_new_candidate(key, reply) for key, reply in wanted.items() if key not in known],
        batch_size=BATCH,
    )
    known.update({(row.prompt_id, row.content_hash): row for row in made})
    return known, len(made)


def _new_candidate(key: tuple[int, str], reply: Reply) -> Candidate:
    text = reply_text(reply.messages)
    return Candidate(
        prompt_id=key[0],
        content_hash=key[1],
        messages=reply.messages,
        html=render_text(text),
        renderer_version=RENDERER_VERSION,
        names_its_maker=names_its_maker(text),
    )


def _setting(sampling: Mapping[str, Any], column: str) -> Any:
    """Return a sampling setting for its column, None where it is not of the column's kind."""
    for name in _SETTING_NAMES[column]:
        value = sampling.get(name)
        if column == "finish_reason":
            return str(value)[:32] if value is not None else ""
        if isinstance(value, int | float) and not isinstance(value, bool):
            return int(value) if column in {"max_new_tokens", "seed"} else float(value)
    return "" if column == "finish_reason" else None


def _source_row(candidate: Candidate, source: Source, batch: ImportBatch | None) -> CandidateSource:
    settings = {column: _setting(source.sampling, column) for column in _SETTING_NAMES}
    return CandidateSource(
        candidate=candidate,
        model_name=source.model,
        model_sha256=str(source.sampling.get("model_sha256", ""))[:64],
        sampling=dict(source.sampling),
        import_batch=batch,
        **settings,
    )


def _source_key(candidate_id: int, model: str, sampling: Mapping[str, Any]) -> tuple[int, str, str]:
    return candidate_id, model, json.dumps(sampling, sort_keys=True)


def ensure_sources(
    *, sources: Sequence[tuple[Candidate, Source]], batch: ImportBatch | None
) -> int:
    """Add the sources that are not there yet and return how many: a repeat counts once more."""
    ids = sorted({candidate.pk for candidate, _ in sources})
    have: Counter[tuple[int, str, str]] = Counter()
    for start in range(0, len(ids), BATCH):
        rows = CandidateSource.objects.filter(candidate_id__in=ids[start : start + BATCH])
        have.update(
            _source_key(*row) for row in rows.values_list("candidate_id", "model_name", "sampling")
        )
    missing = []
    for candidate, source in sources:
        key = _source_key(candidate.pk, source.model, source.sampling)
        if have[key] > 0:
            have[key] -= 1
        else:
            missing.append(_source_row(candidate, source, batch))
    CandidateSource.objects.bulk_create(missing, batch_size=BATCH)
    return len(missing)


def ensure_demonstrations(*, rows: Sequence[tuple[Prompt, list[dict[str, Any]]]]) -> int:
    """Add the demonstrations that are not there yet; return how many."""
    before = Demonstration.objects.filter(prompt__in={p.pk for p, _ in rows}).count()
    Demonstration.objects.bulk_create(
        [
            Demonstration(prompt=prompt, messages=messages, content_hash=content_hash(messages))
            for prompt, messages in rows
        ],
        ignore_conflicts=True,
        batch_size=BATCH,
    )
    return Demonstration.objects.filter(prompt__in={p.pk for p, _ in rows}).count() - before


@transaction.atomic
def add_samples(
    *, actor: User | None, project: Project, samples: Sequence[Sample]
) -> list[CandidateSource]:
    """Store what a model replied: one source for each sample, in order, candidates made at need."""
    prompts = Prompt.objects.filter(project=project).in_bulk({s.prompt_id for s in samples})
    replies = [(prompts[s.prompt_id], Reply(parse_reply(s.text, "sample"), ())) for s in samples]
    candidates, made = ensure_candidates(replies=replies)
    sources = CandidateSource.objects.bulk_create(
        [
            _sample_row(candidates[(prompt.pk, content_hash(reply.messages))], sample)
            for sample, (prompt, reply) in zip(samples, replies, strict=True)
        ],
        batch_size=BATCH,
    )
    audit.record(
        actor=actor,
        project=project,
        verb="samples.add",
        obj=project,
        data={"samples": len(samples), "new_candidates": made},
    )
    return sources


def _sample_row(candidate: Candidate, sample: Sample) -> CandidateSource:
    return CandidateSource(
        candidate=candidate,
        model_name=sample.model_name,
        model_sha256=sample.model_sha256,
        finish_reason=sample.finish_reason,
        seed=sample.seed,
        temperature=sample.temperature,
        top_p=sample.top_p,
        max_new_tokens=sample.max_new_tokens,
        logprob=sample.logprob,
        sampling=dict(sample.sampling),
    )
