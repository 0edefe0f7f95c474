"""Several hosts as one program: how they connect, agree, and exit when one is lost.

Every host runs the same command. JAX detects a Cloud TPU slice, SLURM, Open MPI and
Kubernetes; elsewhere each host is given the address of process 0.
"""

import atexit
import collections
import contextlib
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vit_jax.errors import ConfigError

# The answer is read this many updates later, when it has arrived without waiting.
_DELAY = 2

_NO_MESSAGE = (
    "vit-jax: error: process {index} of {count} ended without an error message: it was "
    "killed, or lost another process (see the lines above and the output of the other "
    "processes); the last checkpoint is complete, so repeat the command on every host "
    "to resume from it"
)


class LostPeerError(ConfigError):
    """Another process of the run has ended; the run cannot continue without it."""


def initialize(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    init_timeout: int = 300,
    peer_timeout: int = 100,
) -> None:
    """Connects to the other processes of a run, if any; call before any computation.

    Args:
      coordinator: HOST:PORT of process 0. None: as the cluster says; without a cluster
        the run has one process.
      num_processes: in the run, one per host (SLURM and Open MPI on GPUs: one per GPU).
      process_id: the index of this process, from 0.
      init_timeout: seconds to wait for the other processes.
      peer_timeout: seconds without a heartbeat after which a process counts as lost.

    Raises:
      ConfigError: only some of the three are given and the others cannot be detected,
        or they contradict each other. After ``init_timeout`` this process prints one
        line and exits, where JAX would exit with a stack trace.
    """
    given = (coordinator, num_processes, process_id)
    if coordinator is not None and ":" not in coordinator:
        raise ConfigError(
            f"--coordinator must be HOST:PORT, got {coordinator}; try {coordinator}:8476"
        )
    if os.environ.get("JAX_PLATFORMS") == "cpu":
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    with _time_limit(init_timeout, given):
        try:
            jax.distributed.initialize(
                coordinator,
                num_processes,
                process_id,
                cluster_detection_method=None if None in given else "deactivate",
                # Ours fires first, with one readable line.
                initialization_timeout=init_timeout + 60,
                heartbeat_timeout_seconds=peer_timeout,
                shutdown_timeout_seconds=peer_timeout,
            )
        except (ValueError, TypeError, RuntimeError) as error:
            alone = "should be defined", "must be called before", "only be called once"
            if given == (None, None, None) and any(s in str(error) for s in alone):
                return  # no cluster, or the program has called it before
            if isinstance(error, RuntimeError):
                raise ConfigError(
                    f"the processes could not connect: {error}"
                ) from error
            raise ConfigError(
                "--coordinator HOST:PORT, --num_processes N and --process_id I (0 to "
                f"N - 1) must all be given and be consistent, got {given}: {error}"
            ) from error
    if jax.process_count() > 1:
        _watch_this_process()


@contextlib.contextmanager
def _time_limit(seconds: int, given: tuple[object, ...]) -> Iterator[None]:
    """Exits with one line after ``seconds``; nothing else can interrupt JAX."""

    def end() -> None:
        where = given[0] or "the cluster's coordinator"
        print(
            f"vit-jax: error: not all processes connected to {where} within {seconds} "
            "s; start the command on every host (under SLURM with srun), and check that "
            "the hosts can reach each other",
            file=sys.stderr,
            flush=True,
        )
        os._exit(2)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _watch_this_process() -> None:
    """Starts a child that reports if this process dies without an error message.

    JAX aborts a process whose coordinator is gone from another thread, where no handler
    of ours runs. The child sees that the pipe closes without a message.
    """
    line = _NO_MESSAGE.format(index=jax.process_index(), count=jax.process_count())
    code = (
        "import signal, sys\n"
        "for s in (signal.SIGINT, signal.SIGTERM): signal.signal(s, signal.SIG_IGN)\n"
        f"if not sys.stdin.read(): print({line!r}, file=sys.stderr, flush=True)"
    )
    watcher = subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )

    def leave() -> None:
        assert watcher.stdin is not None
        with contextlib.suppress(OSError):
            watcher.stdin.write("done")
            watcher.stdin.close()
        if _failed:
            # JAX would wait for peers that wait for this process.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(2)

    # Runs before JAX's own handler, which was registered earlier.
    atexit.register(leave)


_failed: list[BaseException] = []


@contextlib.contextmanager
def exit_together() -> Iterator[None]:
    """Makes an error of one process end all processes of the run; a context manager.

    Raises:
      LostPeerError: a collective failed because another process has ended.
    """
    if jax.process_count() == 1:
        yield
        return
    try:
        yield
    except BaseException as error:
        _failed.append(error)
        is_ours = isinstance(error, ConfigError)  # a bucket may be UNAVAILABLE, too
        if not is_ours and any(sign in str(error) for sign in _SIGNS_OF_LOSS):
            reason = str(error).splitlines()[0][:200]
            raise LostPeerError(
                f"process {jax.process_index()} of {jax.process_count()} lost another "
                f"process ({reason}); the last checkpoint is complete, so repeat the "
                "command on every host to resume from it"
            ) from error
        raise


# In messages of Gloo, NCCL and the coordination service.
_SIGNS_OF_LOSS = ("Gloo", "NCCL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "Connection ")


def is_primary() -> bool:
    """Returns whether this process is the one that logs."""
    return jax.process_index() == 0


class AnyHost:
    """The maximum of one number per host, returned to all hosts at the same call.

    Each host calls once per update. A number counts in the answer two calls later, on
    every host alike; a run on one host is answered at once.

    >>> find_signal = AnyHost(mesh)
    >>> while not find_signal(interrupts.received or 0):
    ...     update()
    """

    def __init__(self, mesh: Mesh):
        self._sharding = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
        whole = NamedSharding(mesh, PartitionSpec())
        self._highest: Callable[[jax.Array], jax.Array] = jax.jit(
            lambda numbers: numbers.max(), out_shardings=whole
        )
        self._asked: collections.deque[jax.Array] = collections.deque()
        self._num_local = len(mesh.local_devices)
        self._alone = math.prod(mesh.devices.shape) == self._num_local

    def __call__(self, number: int) -> int:
        if self._alone:
            return number
        local = np.full(self._num_local, number, np.int32)
        numbers = jax.make_array_from_process_local_data(self._sharding, local)
        self._asked.append(self._highest(numbers))
        if len(self._asked) <= _DELAY:
            return 0
        return int(self._asked.popleft())
