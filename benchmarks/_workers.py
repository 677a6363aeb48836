"""Processes that run a benchmark with another checkout of the package, one request per line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def start(script: str, checkout: Path, *arguments: object) -> subprocess.Popen:
    """Run a script with ``--work`` and more arguments, one thread, and a checkout's package."""
    command = [sys.executable, script, "--work", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def ask(process: subprocess.Popen, question: str) -> str:
    """Write a line to a process, and read the line that it answers."""
    process.stdin.write(question + "\n")
    process.stdin.flush()
    return process.stdout.readline()
