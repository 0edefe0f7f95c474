"""What the numbers of a plan are based on, in sentences."""

from vit_jax.mesh.devices import Chip
from vit_jax.plan.memory import ProgramMemory
from vit_jax.plan.summary import Summary


def explain_basis(
    chip: Chip | None,
    compiled: ProgramMemory | None,
    refused: int | None,
    summary: Summary | None,
) -> list[str]:
    """Returns sentences on how memory and speed were found, and on their limitations.

    Args:
      chip: of the table; None: the device is not in it, and no speed is predicted.
      compiled: memory by the compiler; None: nothing was compiled, or the program does
        not fit.
      refused: bytes that the compiler reported for a program that does not fit; None:
        it compiled, or nothing was compiled.
      summary: of the compiled program; None: there is none.
    """
    return [*_explain_memory(chip, compiled, refused), *_explain_speed(chip, summary)]


def _explain_memory(
    chip: Chip | None, compiled: ProgramMemory | None, refused: int | None
) -> list[str]:
    if compiled:
        sentences = ["memory: as counted by the compiler for the compiled program"]
    elif refused is not None:
        sentences = [
            "memory: as reported by the compiler, which found that it does not fit"
        ]
    else:
        sentences = [
            "memory: counted from shapes, without what a compiler adds or saves"
        ]
    if chip is not None and chip.clock is None:
        sentences.append(
            "JAX allocates three quarters of a GPU's memory unless "
            "XLA_PYTHON_CLIENT_MEM_FRACTION=0.95 is set"
        )
    return sentences


def _explain_speed(chip: Chip | None, summary: Summary | None) -> list[str]:
    if chip is None:
        return [
            "speed: not predicted, because this device is not in the table of chips"
        ]
    if summary is None:
        return [
            "speed: an upper bound from peak FLOP/s and bandwidths; real steps take 1.5 "
            "to 3 times as long"
        ]
    sentences = []
    if summary.cycles:
        sentences.append(
            f"speed: cycles that the TPU compiler estimates, at {chip.clock or 0:.3g} Hz "
            "(loop bodies times their trip counts), with the collectives' traffic over "
            "all links between fully hidden and not hidden; nothing was run"
        )
    if summary.custom_calls:
        sentences.append(
            f"{summary.custom_calls} custom kernels have no estimate and are counted as 0"
        )
    if summary.unknown_loops:
        sentences.append(
            f"{summary.unknown_loops} loops have an unknown trip count and are counted "
            "once"
        )
    return sentences
