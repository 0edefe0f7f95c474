"""Several hosts as one program: how they meet, agree, and leave when one is lost.

Every host runs the same command. JAX finds a Cloud TPU slice, SLURM, Open MPI or
Kubernetes by itself; elsewhere each host is told where process 0 is.
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

# A loop asks after this many more updates: the answer is there by then, and nothing
# waits for it.
_DELAY = 2

_NO_WORD = (
    "vit-jax: error: process {index} of {count} ended without a word: it was killed, or "
    "lost another process (the lines above and the other processes' say which); the "
    "last checkpoint is whole, so repeat the command on every host to go on from it"
)


class LostPeerError(ConfigError):
    """Another process of the run has gone; nothing can go on without it."""


def initialize(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    init_timeout: int = 300,
    peer_timeout: int = 100,
) -> None:
    """Joins the other processes of a run, if there are any; before any computation.

    Args:
      coordinator: HOST:PORT of process 0. None: the cluster's, or this is a run of one
        process.
      num_processes: of the run, one per host (SLURM and Open MPI on GPUs: one per GPU).
      process_id: of this one, from 0.
      init_timeout: seconds to wait for the others to come.
      peer_timeout: seconds after which a silent process counts as lost.

    Raises:
      ConfigError: some of the three are given and others cannot be found, or they do
        not fit each other. If the others do not come in time, a line says so and this
        process ends: JAX would end it with a stack trace of its own.
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
                # Ours ends first, with a line that a person can use.
                initialization_timeout=init_timeout + 60,
                heartbeat_timeout_seconds=peer_timeout,
                shutdown_timeout_seconds=peer_timeout,
            )
        except (ValueError, TypeError, RuntimeError) as error:
            alone = "should be defined", "must be called before", "only be called once"
            if given == (None, None, None) and any(s in str(error) for s in alone):
                return  # no cluster, or a program that has started by itself
            if isinstance(error, RuntimeError):
                raise ConfigError(f"the processes could not meet: {error}") from error
            raise ConfigError(
                "--coordinator HOST:PORT, --num_processes N and --process_id I (0 to "
                f"N - 1) must all be given, and fit each other, got {given}: {error}"
            ) from error
    if jax.process_count() > 1:
        _watch_over_this_process()


@contextlib.contextmanager
def _time_limit(seconds: int, given: tuple[object, ...]) -> Iterator[None]:
    """Ends the process with a line after ``seconds``; nothing else can interrupt JAX."""

    def end() -> None:
        where = given[0] or "the cluster's coordinator"
        print(
            f"vit-jax: error: not all processes met at {where} within {seconds} s; "
            "start the command on every host (under SLURM with srun), and check that "
            "the hosts reach each other",
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


def _watch_over_this_process() -> None:
    """Has a child say so if this process dies before it can say why.

    JAX aborts a process whose coordinator is gone, from another thread: no handler of
    ours runs. The child sees the pipe close without a word.
    """
    line = _NO_WORD.format(index=jax.process_index(), count=jax.process_count())
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
            # JAX would wait for peers that are waiting for this one.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(2)

    # Runs before JAX's own handler, which was registered before.
    atexit.register(leave)


_failed: list[BaseException] = []


@contextlib.contextmanager
def exit_together() -> Iterator[None]:
    """Around the work of a run of several processes: an error of one ends all.

    Raises:
      LostPeerError: a collective failed since another process has gone.
    """
    if jax.process_count() == 1:
        yield
        return
    try:
        yield
    except BaseException as error:
        _failed.append(error)
        told = isinstance(error, ConfigError)  # a bucket may be UNAVAILABLE, too
        if not told and any(sign in str(error) for sign in _SIGNS_OF_LOSS):
            reason = str(error).splitlines()[0][:200]
            raise LostPeerError(
                f"process {jax.process_index()} of {jax.process_count()} lost another "
                f"process ({reason}); the last checkpoint is whole, so repeat the "
                "command on every host to go on from it"
            ) from error
        raise


# Of Gloo, NCCL and the coordination service.
_SIGNS_OF_LOSS = ("Gloo", "NCCL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "Connection ")


def is_primary() -> bool:
    """Returns whether this host is the one that logs."""
    return jax.process_index() == 0


class AnyHost:
    """The highest of a number of each host, known to all at the same call.

    Each host calls once per update. What it gives is in the answer to the call
    after the next one, on every host alike; alone it is answered at once.

    >>> told = AnyHost(mesh)
    >>> while not told(interrupts.received or 0):
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
