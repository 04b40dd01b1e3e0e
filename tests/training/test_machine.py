"""What is kept of a measured machine, and how a rate is read from it."""

import json
from pathlib import Path

import pytest

from tests.training.machines import machine, machine_body, write_machine
from training.machine import Speed, at_width, machine_from, machines_in, path_of


def test_a_rate_lies_between_the_measured_ones_on_logarithmic_scales() -> None:
    curve = [(64, 1e9), (256, 4e9)]
    assert at_width(curve, 32) == 1e9
    assert at_width(curve, 128) == pytest.approx(2e9)
    assert at_width(curve, 4096) == 4e9
    with pytest.raises(ValueError, match="Nothing was measured"):
        at_width([], 64)


def test_machines_are_read_newest_first_and_bad_files_are_passed_over(tmp_path: Path) -> None:
    assert machines_in(tmp_path) == []
    write_machine(tmp_path)
    later = machine_body() | {"name": "later", "measured_at": "2026-11-22T00:00:00+00:00"}
    path_of(tmp_path, "later").write_text(json.dumps(later))
    path_of(tmp_path, "old").write_text(json.dumps(machine_body() | {"format": 0}))
    path_of(tmp_path, "torn").write_text("{")
    assert [one.name for one in machines_in(tmp_path)] == ["later", "box"]


def test_a_gpu_is_meant_where_there_is_one() -> None:
    body = machine_body()
    body["devices"].append(body["devices"][0] | {"kind": "cuda", "name": "Test GPU"})
    both = machine_from(body)
    assert both.device("auto").name == "Test GPU"
    assert both.device("cpu").name == "Test CPU"
    assert machine().device("auto").name == "Test CPU"


def test_the_speed_nearest_to_the_threads_asked_for_is_taken() -> None:
    device = machine().devices[0]
    one = device.speeds[0]
    many = Speed(**{**vars(one), "threads": 8})
    device = type(device)(**{**vars(device), "speeds": (one, many)})
    assert device.speed(0, "fp32") == many
    assert device.speed(2, "fp32") == one
    assert device.speed(7, "fp32") == many
    assert device.speed(0, "bf16") is None
