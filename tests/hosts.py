"""Runs of several real processes on this machine, one virtual host each."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from vit_jax.checkpoints.card import read_card


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def environment(num_devices: int) -> dict[str, str]:
    """Returns the tests' own, with another number of virtual devices."""
    flags = [f for f in os.environ["XLA_FLAGS"].split() if "device_count" not in f]
    flags.append(f"--xla_force_host_platform_device_count={num_devices}")
    return os.environ | {"XLA_FLAGS": " ".join(flags)}


class Hosts:
    """The processes of one run, started like a person would on each host."""

    def __init__(
        self, config: Path, workdir: Path, num_processes: int, num_devices: int = 1
    ):
        self.workdir = workdir
        command = [sys.executable, "-m", "vit_jax", "train", f"--config={config}"]
        command.append(f"--workdir={workdir}")
        if num_processes > 1:
            command.append(f"--coordinator=127.0.0.1:{free_port()}")
            command += [f"--num_processes={num_processes}", "--peer_timeout=15"]
        self.processes = [
            subprocess.Popen(
                [*command, *([f"--process_id={i}"] if num_processes > 1 else [])],
                env=environment(num_devices),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for i in range(num_processes)
        ]

    def wait_for_checkpoint(self, timeout: float = 60) -> int:
        """Returns the step of the first checkpoint, once it is there."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if (self.workdir / "checkpoints").is_dir():
                card = read_card(self.workdir)
                if card is not None:
                    return card["step"]
            if self.processes[0].poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"no checkpoint: {self.end()}")

    def send(self, index: int, number: signal.Signals) -> None:
        self.processes[index].send_signal(number)

    def end(self, timeout: float = 60) -> list[tuple[int, str]]:
        """Returns exit code and output of each; none outlives the test."""
        ended = []
        try:
            for process in self.processes:
                output = process.communicate(timeout=timeout)[0]
                ended.append((process.returncode, output))
        finally:
            for process in self.processes:
                process.kill()
        return ended
