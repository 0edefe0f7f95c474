"""What happened to a run, in `events.jsonl`: starts, restarts, ends; kept for good."""

import json
import time
from pathlib import Path
from typing import Any

FILE = "events.jsonl"


def log_event(workdir: Path, step: int, event: str, detail: str = "") -> None:
    """Appends a line with the time in seconds since 1970.

    Args:
      workdir: of the run.
      step: completed updates.
      event: started, resumed, interrupted, failed or finished.
      detail: more about it, in a sentence.
    """
    line = {"time": time.time(), "step": step, "event": event, "detail": detail}
    with (workdir / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read_events(workdir: Path) -> list[dict[str, Any]]:
    """Returns all lines, the oldest first; none where there is no file."""
    path = workdir / FILE
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:  # incomplete, after a full disk
            continue
    return found
