"""Measures this machine for estimates: `python -m training.recipes.calibrate <folder of models>`.

Times real decoder layers at several widths, learning and drawing, with one thread and with all,
and on a GPU in both precisions. Takes some twenty seconds and writes one file, see
`training.machine`.
"""

from __future__ import annotations

import os
import platform
import socket
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from trl.trainer.utils import add_fused_lm_head

from training import rundir
from training.forecast_time import flops_of_pass
from training.machine import FORMAT, path_of
from training.model_shape import ModelShape
from training.recipes.footprint import peak_memory_bytes
from training.recipes.sft import main as _recipe  # noqa: F401 - what a recipe holds in memory

WIDTHS = (64, 128, 256, 512)
GPU_WIDTHS = (*WIDTHS, 1024, 2048, 4096)
LAYERS = 2
ROWS, LENGTH = 16, 64
ABREAST, SEEN = 32, 64
WORDS = 1024
REPEATS = 6
CUDA_CONTEXT_BYTES = 600 * 1024**2
"""What a CUDA context takes beside torch's own memory; it differs by some hundred megabytes."""


def main(arguments: list[str] | None = None) -> None:
    """Measure CPU and GPU, and leave the file in the folder given."""
    words = sys.argv[1:] if arguments is None else arguments
    if len(words) != 1:
        raise SystemExit("usage: python -m training.recipes.calibrate <folder of models>")
    started = _start_s()
    devices = [_cpu(started)]
    if torch.cuda.is_available():
        devices.append(_gpu(started))
    name = socket.gethostname()
    body = {
        "format": FORMAT,
        "name": name,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "devices": devices,
    }
    path = path_of(Path(words[0]), name)
    path.parent.mkdir(parents=True, exist_ok=True)
    rundir.write_json_atomic(path, body)


def _start_s() -> float:
    """What a recipe needs to come up: this process's own time so far, on the processor."""
    return time.process_time()


def runtime_bytes() -> int:
    """What Python, torch and TRL hold with next to no model; right only before anything larger."""
    _learn(_model(WIDTHS[0]), torch.device("cpu"))
    return peak_memory_bytes()


def _cpu(started: float) -> dict[str, Any]:
    """The CPU, with one thread and with as many as torch takes by itself."""
    every = torch.get_num_threads()
    base = runtime_bytes()
    speeds: list[dict[str, Any]] = []
    for threads in sorted({1, every}):
        torch.set_num_threads(threads)
        speeds.append(_speed(torch.device("cpu"), threads, "fp32", WIDTHS))
    speeds[1:] = [_no_slower(one, speeds[0]) for one in speeds[1:]]
    torch.set_num_threads(every)
    return {
        "kind": "cpu",
        "name": _cpu_name(),
        "memory_bytes": psutil.virtual_memory().total,
        "runtime_bytes": base,
        "start_s": round(started, 2),
        "speeds": speeds,
    }


def _no_slower(many: dict[str, Any], one: dict[str, Any]) -> dict[str, Any]:
    """Several threads, where they came out slower than one only because others computed too."""
    better = {**many, **{n: min(many[n], one[n]) for n in ("layer_s", "logit_s", "parameter_s")}}
    for name in ("learning", "drawing"):
        pairs = zip(many[name], one[name], strict=True)
        better[name] = [[width, max(rate, alone)] for (width, rate), (_, alone) in pairs]
    return better


def _gpu(started: float) -> dict[str, Any]:
    """The first GPU, in both precisions."""
    device = torch.device("cuda")
    speeds = [_speed(device, 0, "fp32", GPU_WIDTHS)]
    with torch.autocast("cuda", dtype=torch.bfloat16):
        speeds.append(_speed(device, 0, "bf16", GPU_WIDTHS))
    return {
        "kind": "cuda",
        "name": torch.cuda.get_device_name(device),
        "memory_bytes": torch.cuda.get_device_properties(device).total_memory,
        "runtime_bytes": CUDA_CONTEXT_BYTES,
        "start_s": round(started, 2),
        "speeds": speeds,
    }


def _speed(
    device: torch.device, threads: int, precision: str, widths: tuple[int, ...]
) -> dict[str, Any]:
    """The rates of one device with so many threads."""
    tiny = _model(32).to(device)
    layer_s = _timed(lambda: _learn(tiny, device, rows=1, length=4), device) / LAYERS
    learning, drawing = [], []
    for width in widths:
        model = _model(width).to(device)
        shape = _shape(width)
        seconds = _timed(partial(_learn, model, device), device)
        flops = flops_of_pass(shape, ROWS * LENGTH, LENGTH)
        learning.append([width, flops / max(seconds - LAYERS * layer_s, seconds / 4)])
        seconds = _timed(partial(_draw, model, device), device)
        token = 2.0 * LAYERS * shape.layer_matrices + LAYERS * 4.0 * shape.queries * SEEN
        left = max(seconds - LAYERS * layer_s / 3, seconds / 4)
        drawing.append([width, ABREAST * token / left])
    return {
        "threads": threads,
        "precision": precision,
        "learning": learning,
        "drawing": drawing,
        "layer_s": layer_s,
        "logit_s": _logit_s(device),
        "parameter_s": _parameter_s(device),
    }


def _shape(width: int) -> ModelShape:
    return ModelShape(
        family="llama",
        vocabulary=WORDS,
        hidden=width,
        layers=LAYERS,
        heads=max(1, width // 32),
        queries=width,
        keys=width,
        intermediate=3 * width,
    )


def _model(width: int, *, output: bool = False) -> Any:
    """The layers of a decoder, without its output or with it."""
    config = LlamaConfig(
        vocab_size=WORDS,
        hidden_size=width,
        num_hidden_layers=LAYERS,
        num_attention_heads=max(1, width // 32),
        num_key_value_heads=max(1, width // 32),
        intermediate_size=3 * width,
        max_position_embeddings=2 * (LENGTH + SEEN),
        tie_word_embeddings=True,
    )
    whole: Any = LlamaForCausalLM(config)
    return whole if output else whole.model


def _learn(model: Any, device: torch.device, rows: int = ROWS, length: int = LENGTH) -> None:
    """A forward and a backward pass over padded texts, as a batch of data is."""
    ids = torch.ones(rows, length, dtype=torch.long, device=device)
    mask = torch.ones_like(ids)
    mask[0, -1] = 0
    state = model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    state.float().square().mean().backward()


@torch.no_grad()
def _draw(model: Any, device: torch.device) -> None:
    """One token more for each of some replies, with the keys of what stands before."""
    ids = torch.ones(ABREAST, SEEN, dtype=torch.long, device=device)
    if getattr(model, "kept", None) is None:
        model.kept = model(input_ids=ids, use_cache=True).past_key_values
    mask = torch.ones(ABREAST, model.kept.get_seq_length() + 1, dtype=torch.long, device=device)
    mask[0, 0] = 0
    model(input_ids=ids[:, :1], attention_mask=mask, past_key_values=model.kept, use_cache=True)


def _logit_s(device: torch.device) -> float:
    """What a logit takes with its gradient, as TRL's trainers make them; layers taken off."""
    model = _model(32, output=True).to(device)
    add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
    ids = torch.ones(ROWS, LENGTH, dtype=torch.long, device=device)

    def learn() -> None:
        model(input_ids=ids, labels=ids, fused_lm_head=True).log_probs.mean().backward()

    whole = _timed(learn, device)
    layers = _timed(partial(_learn, model.model, device), device)
    return max(whole - layers, whole / 4) / (ROWS * LENGTH * WORDS)


def _parameter_s(device: torch.device) -> float:
    """What AdamW takes for one weight."""
    weights = [torch.nn.Parameter(torch.zeros(512, 512, device=device)) for _ in range(8)]
    optimizer = torch.optim.AdamW(weights)
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    return _timed(lambda: (optimizer.step(), None)[1], device) / (8 * 512 * 512)


def _timed(work: Callable[[], None], device: torch.device) -> float:
    """Seconds of the fastest of some runs, after one that does not count.

    Other work on the machine only ever makes a run slower, so the fastest says most. One thread's
    own time on the processor does not count the others' turns at all.
    """
    gpu = device.type == "cuda"
    alone = not gpu and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    work()
    seconds = []
    for _ in range(REPEATS):
        started = clock()
        work()
        if gpu:
            torch.cuda.synchronize()
        seconds.append(clock() - started)
    return min(seconds)


def _cpu_name() -> str:
    """The processor's name as the system tells it."""
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()} x {os.cpu_count()}"
    return f"{platform.processor() or platform.machine()} x {os.cpu_count()}"


if __name__ == "__main__":
    main()
