"""What a run will take, memory and time, said before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.configs import Config, SFTConfig
from training.forecast_memory import Memory, memory
from training.forecast_time import Duration, duration
from training.machine import Device, Machine
from training.model_shape import ModelShape
from training.workload import Texts, Workload, workload

RUNTIME_BYTES = 500_000_000
"""What Python, torch and TRL hold where no machine was measured; so much on a CPU."""


@dataclass(frozen=True, kw_only=True)
class OnDevice:
    """A run on one device of one machine; `duration` is None where its speed is not known."""

    machine: str
    device: str
    has_bytes: int
    memory: Memory
    takes_bytes: float
    duration: Duration | None

    @property
    def too_large(self) -> bool:
        """Whether the device has less memory than the run would take."""
        return self.takes_bytes > self.has_bytes


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """A run's size, and what it takes on each machine that was measured.

    `memory` is that of the first of them, or with the usual runtime where there is none.
    `longest_reply` is set where replies are drawn: each is counted as long as it may be.
    """

    parameters: int
    work: Workload
    memory: Memory
    on: tuple[OnDevice, ...]
    lengths_known: bool = True

    @property
    def draws(self) -> bool:
        """Whether the run replies to prompts while it learns."""
        return bool(self.work.drawn)


def forecast(
    config: Config,
    texts: Texts,
    base: ModelShape,
    reward: ModelShape | None,
    machines: Sequence[Machine],
) -> Forecast:
    """What a run takes on each machine. Raises ValueError without rows to learn from."""
    work = workload(config, texts, base)
    on = [
        _on_device(config, work, base, reward, one.name, one.device(config.device))
        for one in machines
    ]
    usual = memory(config, work, base, reward, runtime=RUNTIME_BYTES)
    return Forecast(
        parameters=base.parameters,
        work=work,
        memory=on[0].memory if on else usual,
        on=tuple(on),
        lengths_known=texts.known,
    )


def _on_device(
    config: Config,
    work: Workload,
    base: ModelShape,
    reward: ModelShape | None,
    machine: str,
    device: Device,
) -> OnDevice:
    """On a CPU all processes share the memory; each has a GPU of its own."""
    needs = memory(config, work, base, reward, runtime=device.runtime_bytes)
    processes = int(getattr(config, "processes", 1)) if device.kind == "cpu" else 1
    return OnDevice(
        machine=machine,
        device=device.name,
        has_bytes=device.memory_bytes,
        memory=needs,
        takes_bytes=needs.total * processes,
        duration=duration(config, work, base, reward, device),
    )


def shape_from_scratch(config: SFTConfig, vocabulary: int | None = None) -> ModelShape:
    """The shape of a model that SFT makes from nothing; its vocabulary may turn out smaller."""
    size = config.hidden_size // config.heads
    return ModelShape(
        family=config.architecture,
        vocabulary=vocabulary or config.vocab_size,
        hidden=config.hidden_size,
        layers=config.layers,
        heads=config.heads,
        queries=config.heads * size,
        keys=config.kv_heads * size,
        intermediate=config.intermediate_size,
    )
