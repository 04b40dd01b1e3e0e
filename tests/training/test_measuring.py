"""Measuring this machine: once, in a child process, by a worker or a command."""

import json
import socket
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.training.machines import machine_body
from training import measuring, tasks
from training.machine import machines_in, path_of


@pytest.fixture
def folder(settings, tmp_path):
    settings.MODEL_DIR = tmp_path
    return tmp_path


def known(folder: Path) -> None:
    """Let this machine be measured already."""
    name = socket.gethostname()
    path = path_of(folder, name)
    path.parent.mkdir()
    path.write_text(json.dumps(machine_body() | {"name": name}))


def failing(monkeypatch, tmp_path) -> None:
    """Let every child of ours fail with a sentence."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho 'no torch here' >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


def test_a_known_machine_is_not_measured_again(folder, monkeypatch, tmp_path):
    known(folder)
    failing(monkeypatch, tmp_path)
    tasks.measure_machine()
    assert measuring.measure(again=False).name == socket.gethostname()
    with pytest.raises(measuring.NotMeasured):
        measuring.measure(again=True)


def test_a_measurement_that_fails_says_why(folder, monkeypatch, tmp_path):
    failing(monkeypatch, tmp_path)
    with pytest.raises(CommandError, match="no torch here"):
        call_command("measure_machine", stdout=StringIO())
    assert machines_in(folder) == []


@pytest.mark.slow
@pytest.mark.recipe
def test_the_command_measures_this_machine(folder):
    out = StringIO()
    call_command("measure_machine", stdout=out)
    assert "GFLOP/s" in out.getvalue()
    (found,) = machines_in(folder)
    device = found.device("cpu")
    assert device.memory_bytes > device.runtime_bytes > 10**8
    speed = device.speed(1, "fp32")
    assert speed is not None
    assert all(10**8 < rate < 10**13 for _, rate in (*speed.learning, *speed.drawing))
    assert 0 < speed.logit_s < 1e-6
