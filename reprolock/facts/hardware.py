"""CPU, memory and accelerators; what differs is judged by the class of numerics it belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from reprolock.facts.reading import may, need, tables, without_none
from reprolock.finding import Finding, note, warning

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHERE = "tool.reprolock.hardware"
# The instruction sets by which OpenBLAS, MKL, oneDNN and NumPy choose their kernels.
_DISPATCHED = (
    "sse4_2",
    "avx",
    "f16c",
    "fma",
    "avx2",
    "avx512f",
    "avx512dq",
    "avx512bw",
    "avx512vl",
    "avx512_vnni",
    "avx512_bf16",
    "amx_tile",
    "asimd",
    "asimddp",
    "sve",
    "sve2",
    "bf16",
    "i8mm",
)


@dataclass(frozen=True)
class Gpu:
    """One GPU as NVML tells it; *memory* in bytes."""

    name: str
    memory: int
    compute_capability: str | None = None


@dataclass(frozen=True)
class Gpus:
    """*devices* is empty and *driver* None where NVML finds no GPU or no driver."""

    devices: tuple[Gpu, ...] = ()
    driver: str | None = None
    cuda: str | None = None


@dataclass(frozen=True)
class Hardware:
    """*memory* in bytes; *instruction_sets* those by which numerical libraries choose kernels;
    *torch* and *jax* what the libraries said, where the notebook had loaded them.
    """

    cpu: str
    vendor: str | None
    cores: int
    memory: int | None
    instruction_sets: tuple[str, ...]
    gpus: Gpus = Gpus()
    torch: Mapping[str, Any] = field(default_factory=dict)
    jax: Mapping[str, Any] = field(default_factory=dict)

    @property
    def numerics_class(self) -> tuple[str | None, tuple[str, ...], tuple[str, ...]]:
        """Machines of one class are expected to give the same bits."""
        return self.vendor, self.instruction_sets, tuple(gpu.name for gpu in self.gpus.devices)


class Nvml(Protocol):
    """The part of pynvml that is used: the one seam where a stand-in may stand."""

    def nvmlInit(self) -> None: ...  # noqa: N802
    def nvmlShutdown(self) -> None: ...  # noqa: N802
    def nvmlSystemGetDriverVersion(self) -> str | bytes: ...  # noqa: N802
    def nvmlSystemGetCudaDriverVersion(self) -> int: ...  # noqa: N802
    def nvmlDeviceGetCount(self) -> int: ...  # noqa: N802
    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any: ...  # noqa: N802
    def nvmlDeviceGetName(self, handle: Any) -> str | bytes: ...  # noqa: N802
    def nvmlDeviceGetMemoryInfo(self, handle: Any) -> Any: ...  # noqa: N802
    def nvmlDeviceGetCudaComputeCapability(self, handle: Any) -> Any: ...  # noqa: N802


def probe_gpus(nvml: Nvml | None = None) -> Gpus:
    """Ask NVML for the GPUs of this machine; without library, driver or GPU there are none."""
    if nvml is None:
        import pynvml as nvml  # type: ignore[no-redef]
    assert nvml is not None  # noqa: S101
    try:
        nvml.nvmlInit()
    except Exception:  # noqa: BLE001  pynvml raises NVMLError, OSError or AttributeError here
        return Gpus()
    try:
        return Gpus(
            devices=tuple(_gpu(nvml, i) for i in range(nvml.nvmlDeviceGetCount())),
            driver=_text(nvml.nvmlSystemGetDriverVersion()),
            cuda=_cuda_version(nvml.nvmlSystemGetCudaDriverVersion()),
        )
    except Exception:  # noqa: BLE001  a driver that fails half way has no usable GPU
        return Gpus()
    finally:
        nvml.nvmlShutdown()


def _gpu(nvml: Nvml, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    return Gpu(
        name=_text(nvml.nvmlDeviceGetName(handle)),
        memory=int(nvml.nvmlDeviceGetMemoryInfo(handle).total),
        compute_capability=f"{major}.{minor}",
    )


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _cuda_version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def parse(event: Mapping[str, Any], gpus: Gpus) -> Hardware:
    """Read the recorder's ``hardware`` event; *gpus* comes from `probe_gpus`."""
    cpu = event.get("cpu") or {}
    flags = set(cpu.get("flags") or ())
    return Hardware(
        cpu=str(cpu.get("model") or "unknown"),
        vendor=cpu.get("vendor") or None,
        cores=int(cpu.get("cores_logical") or 0),
        memory=event.get("memory_bytes") or None,
        instruction_sets=tuple(name for name in _DISPATCHED if name in flags),
        gpus=gpus,
        torch=_plain(event.get("torch")),
        jax=_plain(event.get("jax")),
    )


def _plain(value: Any) -> dict[str, Any]:
    """Return *value* as a table that TOML can hold: keys whose value is None go."""
    table: dict[str, Any] = _strip(value) if isinstance(value, dict) else {}
    return table


def _strip(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _strip(v) for k, v in value.items() if v is not None}
    if isinstance(value, (list, tuple)):
        return [_strip(v) for v in value if v is not None]
    return value


def to_toml(facts: Hardware) -> dict[str, Any]:
    gpus: Any = "none"
    if facts.gpus.devices:
        gpus = [
            without_none(
                {"name": g.name, "memory": g.memory, "compute-capability": g.compute_capability}
            )
            for g in facts.gpus.devices
        ]
    return without_none(
        {
            "cpu": facts.cpu,
            "vendor": facts.vendor,
            "cores": facts.cores,
            "memory": facts.memory,
            "instruction-sets": list(facts.instruction_sets),
            "gpus": gpus,
            "driver": facts.gpus.driver,
            "cuda": facts.gpus.cuda,
            "torch": dict(facts.torch) or None,
            "jax": dict(facts.jax) or None,
        }
    )


def from_toml(table: dict[str, Any]) -> Hardware:
    devices = [] if table.get("gpus") == "none" else tables(table, "gpus", _WHERE)
    return Hardware(
        cpu=need(table, "cpu", str, _WHERE),
        vendor=may(table, "vendor", str, _WHERE),
        cores=need(table, "cores", int, _WHERE),
        memory=may(table, "memory", int, _WHERE),
        instruction_sets=tuple(str(s) for s in need(table, "instruction-sets", list, _WHERE)),
        gpus=Gpus(
            devices=tuple(
                Gpu(
                    need(entry, "name", str, f"{_WHERE}.gpus"),
                    need(entry, "memory", int, f"{_WHERE}.gpus"),
                    may(entry, "compute-capability", str, f"{_WHERE}.gpus"),
                )
                for entry in devices
            ),
            driver=may(table, "driver", str, _WHERE),
            cuda=may(table, "cuda", str, _WHERE),
        ),
        torch=may(table, "torch", dict, _WHERE) or {},
        jax=may(table, "jax", dict, _WHERE) or {},
    )


def compare(expected: Hardware, observed: Hardware) -> tuple[Finding, ...]:
    findings = []
    if expected.instruction_sets != observed.instruction_sets or expected.vendor != observed.vendor:
        lost = sorted(set(expected.instruction_sets) - set(observed.instruction_sets))
        findings.append(
            warning(
                "hardware.cpu-class-changed",
                "this CPU is of another class of numerics than the recorded one"
                + (f": it lacks {', '.join(lost)}" if lost else ""),
                subject="cpu",
                expected=_cpu_class(expected),
                observed=_cpu_class(observed),
                hint="last digits may differ; state tolerances for the metrics",
            )
        )
    elif expected.cpu != observed.cpu:
        findings.append(
            note(
                "hardware.cpu-changed",
                f"the CPU was {expected.cpu}, here it is {observed.cpu}",
                subject="cpu",
                expected=expected.cpu,
                observed=observed.cpu,
            )
        )
    if expected.cores != observed.cores:
        findings.append(
            note(
                "hardware.cores-changed",
                f"the run saw {expected.cores} cores, this one {observed.cores}; the number "
                "of threads can change the last digits of sums",
                subject="cores",
                expected=expected.cores,
                observed=observed.cores,
            )
        )
    before, after = _gpu_names(expected), _gpu_names(observed)
    if before != after:
        findings.append(
            warning(
                "hardware.gpu-changed",
                f"the GPUs were {before}, here they are {after}",
                subject="gpu",
                expected=before,
                observed=after,
            )
        )
    return tuple(findings)


def _cpu_class(facts: Hardware) -> str:
    return f"{facts.vendor or 'unknown'}: {' '.join(facts.instruction_sets) or 'none'}"


def _gpu_names(facts: Hardware) -> str:
    return ", ".join(gpu.name for gpu in facts.gpus.devices) or "none"
