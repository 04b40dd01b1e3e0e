"""The demo world: what it says is fixed by the seed, and nobody mistakes good for bad."""

import json
import random
import re
import subprocess
import sys
from collections import Counter

import pytest

from labeling.demo import pretraining, texts, world


def _sentences(reply: str) -> list[str]:
    return re.findall(r"[^.!?]+[.!?]", reply)


def test_prompts_are_sixty_subjects_times_seven_questions_with_keys_of_their_own() -> None:
    """10 topics x 6 subjects x 7 questions = 420; one question of seven takes two turns: 60."""
    found = world.prompts()
    assert len(found) == 420
    assert len({prompt.key for prompt in found}) == 420
    assert Counter(p.topic for p in found) == dict.fromkeys({p.topic for p in found}, 42)
    assert sum("two-turn" in prompt.tags for prompt in found) == 60


def test_prompts_have_first_messages_of_their_own_so_that_no_two_share_a_split() -> None:
    firsts = Counter(prompt.messages[0]["content"] for prompt in world.prompts())
    assert firsts.most_common(1)[0][1] == 1


def test_prompts_end_in_a_user_turn_and_alternate() -> None:
    for prompt in world.prompts():
        roles = [message["role"] for message in prompt.messages]
        assert roles in (["user"], ["user", "assistant", "user"])
        assert all("{" not in message["content"] for message in prompt.messages)


def test_every_step_names_its_subject_and_belongs_to_no_other() -> None:
    steps = [step for subject in texts.SUBJECTS for step in subject.steps]
    assert len(steps) == len(set(steps)) == 90
    for subject in texts.SUBJECTS:
        named = [re.search(rf"\b{subject.name}\b", step, re.IGNORECASE) for step in subject.steps]
        assert all(named), subject


def test_aims_are_no_part_of_each_other() -> None:
    aims = [subject.aim for subject in texts.SUBJECTS]
    assert [(a, b) for a in aims for b in aims if a != b and a in b] == []


def test_read_subjects_takes_the_topic_of_the_last_heading() -> None:
    found = texts.read_subjects(
        "# sea\nboat | sail a boat | A. | B.\n\n# air\nkite | fly | C. | D.\n"
    )
    assert found == (
        texts.Subject("sea", "boat", "sail a boat", ("A.", "B.")),
        texts.Subject("air", "kite", "fly", ("C.", "D.")),
    )


def test_world_uses_a_few_hundred_words() -> None:
    words, _ = pretraining._words()
    assert 300 <= len({word.lower() for word in words}) <= 600


def test_held_out_takes_two_prompts_of_each_subject_and_spreads_over_the_questions() -> None:
    """30 subjects: 60 prompts, over all 14 questions, 4 or 5 of each."""
    kept = [prompt for prompt in world.prompts() if world.held_out(prompt)]
    assert set(Counter(prompt.subject.name for prompt in kept).values()) == {2}
    assert len(kept) == 60
    questions = Counter(prompt.key.rsplit("/", 1)[1] for prompt in kept)
    assert set(questions.values()) <= {4, 5}
    assert len(questions) == 14


def test_good_reply_names_the_subject_and_holds_no_bad_phrase() -> None:
    rng = random.Random(3)
    bad = (*texts.CURT, *texts.RUDE, *texts.VAGUE)
    for prompt in world.prompts():
        reply = world.good_reply(prompt, rng)
        assert prompt.subject.name in reply
        assert not any(phrase in reply for phrase in bad)
        assert 3 <= len(reply.split()) <= 45


def test_bad_reply_has_a_fault_that_can_be_named() -> None:
    """Curt, rude or vague phrases; no word of the subject; a sentence twice; or no end."""
    rng = random.Random(4)
    bad = (*texts.CURT, *texts.RUDE, *texts.VAGUE)
    for prompt in world.prompts() * 3:
        reply = world.bad_reply(prompt, rng)
        sentences = _sentences(reply)
        faults = (
            any(phrase in reply for phrase in bad),
            not any(step in reply for step in prompt.subject.steps),
            len(set(sentences)) < len(sentences),
            not reply.endswith((".", "!", "?")),
        )
        assert any(faults), reply


def test_replies_are_fixed_by_the_seed() -> None:
    prompt = world.prompts()[17]
    for draw in (world.good_reply, world.bad_reply):
        first = [draw(prompt, random.Random(seed)) for seed in range(20)]
        assert first == [draw(prompt, random.Random(seed)) for seed in range(20)]
        assert len(set(first)) > 5


def test_mixed_demonstrations_are_half_bad_and_leave_the_held_out_prompts_alone() -> None:
    """360 prompts x 4 replies, 720 from either generator: count those with a bad phrase or fault.

    Of the bad kinds, curt, rude, rude but right and vague (weights 10 + 12 + 22 + 12 of 100) hold a
    phrase that no good reply has: 0.56 x 720 = 403 are expected, with a deviation of 13.
    """
    drawn = world.mixed_demonstrations(seed=5)
    assert len(drawn) == 1440
    assert not any(world.held_out(prompt) for prompt, _ in drawn)
    assert set(Counter(prompt.key for prompt, _ in drawn).values()) == {4}
    bad = (*texts.CURT, *texts.RUDE, *texts.VAGUE)
    assert abs(sum(any(phrase in reply for phrase in bad) for _, reply in drawn) - 403) < 50
    assert drawn == world.mixed_demonstrations(seed=5)
    assert drawn != world.mixed_demonstrations(seed=6)


def test_pretraining_demonstrations_are_right_and_hold_no_sentence_of_the_world() -> None:
    said = {step for subject in texts.SUBJECTS for step in subject.steps}
    for messages, reply in world.pretraining_demonstrations(seed=2, n=500):
        question = messages[0]["content"]
        assert not any(step in question or step in reply for step in said)
        if found := re.fullmatch(r"Add (\d+) and (\d+)\.", question):
            assert reply.endswith(f" {int(found[1]) + int(found[2])}.")
        if found := re.fullmatch(r"Repeat the list: (.+)", question):
            assert reply == found[1]
        if found := re.fullmatch(r"Sort the list: (.+)\.", question):
            assert reply == ", ".join(sorted(found[1].split(", "), key=str.lower)) + "."


def test_pretraining_demonstrations_are_fixed_by_the_seed() -> None:
    assert world.pretraining_demonstrations(1, 30) == world.pretraining_demonstrations(1, 30)
    assert world.pretraining_demonstrations(1, 30) != world.pretraining_demonstrations(2, 30)


def test_world_version_is_the_same_in_a_process_of_its_own_with_another_hash_seed() -> None:
    program = (
        "import json; from labeling.demo.gold import GOLD_VERSION, WORLD_VERSION; "
        "print(json.dumps([WORLD_VERSION, GOLD_VERSION]))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    versions = json.loads(outputs.pop())
    assert versions[0] == world.WORLD_VERSION
    assert all(re.fullmatch("[0-9a-f]{64}", version) for version in versions)


def test_content_hash_follows_the_content(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "OPENERS", (*texts.OPENERS[:-1], "Welcome!"))
    assert world._content_hash() != world.WORLD_VERSION
