"""Hand out chunks of images to processes, and yield their checksums as they come."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from skccvae.datasets._base import optional_import

_SCRIPT = Path(__file__).with_name("_celeba_worker.py")


def decode_chunks(
    jobs: Sequence[dict[str, Any]], n_jobs: int
) -> Generator[tuple[int, str], None, None]:
    """Decode every job; yield (chunk, SHA-256) in the order in which they finish.

    The processes are started as scripts, neither forked (the parent may hold threads and a GPU)
    nor spawned by multiprocessing (which would import the user's main module again).

    Raises
    ------
    ValueError
        If an image is missing or damaged; the message names it.
    OSError
        If the output cannot be written.
    RuntimeError
        If a process ends before its work does.
    """
    optional_import("PIL", "fetch_celeba", "pip install pillow")
    if n_jobs == 1 or len(jobs) == 1 or not sys.executable:
        from skccvae.datasets._celeba_worker import decode_chunk

        for job in jobs:
            yield job["chunk"], decode_chunk(**{k: v for k, v in job.items() if k != "chunk"})
        return
    todo: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    for job in jobs:
        todo.put(job)
    replies: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    stop = threading.Event()
    processes: list[subprocess.Popen[str]] = []
    threads = []
    try:
        for _ in range(min(n_jobs, len(jobs))):
            processes.append(_start())
            threads.append(
                threading.Thread(
                    target=_serve, args=(processes[-1], todo, replies, stop), daemon=True
                )
            )
            threads[-1].start()
        for _ in range(len(jobs)):
            reply = replies.get()
            if "died" in reply:
                raise RuntimeError(
                    f"a process that decodes images ended with exit status {reply['died']} (out "
                    "of memory?); call again to resume, with a lower n_jobs if it persists"
                )
            if "error" in reply:
                raise (OSError if reply["is_os_error"] else ValueError)(reply["error"])
            yield reply["chunk"], reply["sha256"]
    finally:
        stop.set()
        for process in processes:
            # Ends a process that waits for work; one at work finishes its chunk, then sees it.
            process.terminate()
        for thread in threads:
            thread.join()
        for process in processes:
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    _close(stream)


def _start() -> subprocess.Popen[str]:
    # The search path of this process, so that the script finds the same Pillow; -P keeps the
    # folder of the script out of it.
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.Popen(
        [sys.executable, "-P", str(_SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
    )


def _serve(
    process: subprocess.Popen[str],
    todo: queue.SimpleQueue[dict[str, Any]],
    replies: queue.SimpleQueue[dict[str, Any]],
    stop: threading.Event,
) -> None:
    """Feed one process until there is nothing left to do, or it is told to stop."""
    assert process.stdin is not None
    assert process.stdout is not None
    while not stop.is_set():
        try:
            job = todo.get_nowait()
        except queue.Empty:
            return
        try:
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            replies.put({"died": process.wait()})
            return
        replies.put(json.loads(line))


def _close(stream: Any) -> None:
    try:
        stream.close()
    except OSError:  # unsent bytes for a process that has ended
        return
