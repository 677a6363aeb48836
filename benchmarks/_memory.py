"""Memory of this process, as reported by Linux."""

from __future__ import annotations


def status_mib(field: str) -> float:
    """A memory field of the process in MiB: VmRSS is resident now, VmHWM its peak."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {field}; this benchmark needs Linux.")


def reset_peak() -> None:
    """Reset the peak, so that making the data does not count."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
