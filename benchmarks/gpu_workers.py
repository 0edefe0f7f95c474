"""The processes of `gpu.py`: one for each framework, and one that watches the clock."""

import contextlib
import json
import os
import queue
import statistics
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULT = "result: "


class Worker:
    """A process of one framework; answers one line for each line that it is sent."""

    def __init__(self, kind: str, python: str, options: dict[str, str]) -> None:
        self.kind = kind
        environment = os.environ | {
            "PYTHONPATH": f"{HERE.parent}:{os.environ.get('PYTHONPATH', '')}",
            # What is not in use goes back, and the peak is the step's own.
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            **options,
        }
        self._process = subprocess.Popen(
            [python, str(HERE / f"gpu_{kind}.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def ask(self, what: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Returns the answer; an error's where there is none in time."""
        assert self._process.stdin
        end = time.monotonic() + seconds
        try:
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()
            while (line := self._lines.get(timeout=end - time.monotonic())) is not None:
                if line.startswith(RESULT):
                    return json.loads(line.removeprefix(RESULT))
                print("  |", line, end="", flush=True)
        except (queue.Empty, ValueError):
            self.close()
            return {"error": f"no answer in {seconds:.0f} s"}
        except BrokenPipeError:
            pass
        return {"error": f"the process ended with code {self._process.wait()}"}

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


class Clock:
    """Watches the clock and the power of the GPU while something runs."""

    def __init__(self) -> None:
        query = ["--query-gpu=clocks.sm,power.draw", "--format=csv,noheader,nounits"]
        self._process = None
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                ["nvidia-smi", *query, "--loop-ms=250"],
                stdout=subprocess.PIPE,
                text=True,
            )

    def stop(self) -> dict[str, Any]:
        """Returns the medians of the last three seconds, where the timing is."""
        if self._process is None:
            return {}
        self._process.terminate()
        text, _ = self._process.communicate()
        samples = []
        for line in text.splitlines():
            with contextlib.suppress(ValueError):
                samples.append([float(x) for x in line.split(",")])
        if not samples:
            return {}
        mhz, watts = zip(*samples[-12:], strict=True)
        return {"sm_mhz": statistics.median(mhz), "watts": statistics.median(watts)}
