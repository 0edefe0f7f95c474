"""What the figures of a plan rest on, in sentences."""

from vit_jax.mesh.devices import Chip
from vit_jax.plan.memory import ProgramMemory
from vit_jax.plan.summary import Summary


def explain_basis(
    chip: Chip | None,
    compiled: ProgramMemory | None,
    refused: int | None,
    summary: Summary | None,
) -> list[str]:
    """Returns a sentence for the memory, one for the speed, and what weakens them.

    Args:
      chip: of the table; None: no speed.
      compiled: memory by the compiler; None: nothing was compiled, or it refused.
      refused: bytes that it named when it refused; None: it did not.
      summary: of the compiled text.
    """
    if compiled:
        sentences = ["memory: the compiler's own count of the program it made"]
    elif refused is not None:
        sentences = ["memory: the compiler refused the program, and said what it needs"]
    else:
        sentences = [
            "memory: counted from shapes; what a compiler adds or saves is not in it"
        ]
    if chip is not None and chip.clock is None:
        sentences.append(
            "JAX takes three quarters of a GPU's memory, unless "
            "XLA_PYTHON_CLIENT_MEM_FRACTION says 0.95"
        )
    if chip is None:
        return [*sentences, "speed: none, for this device is not in the table"]
    if summary is None:
        return [
            *sentences,
            "speed: a bound from peak and bandwidths; real steps take 1.5 to 3 times it",
        ]
    if summary.cycles:
        sentences.append(
            f"speed: the TPU compiler's estimated cycles at {chip.clock or 0:.3g} Hz "
            "(loops times their trips), plus or hidden behind the collectives' bytes "
            "over all links at once; nothing was run"
        )
    if summary.custom_calls:
        sentences.append(
            f"{summary.custom_calls} custom kernels carry no estimate and count nothing"
        )
    if summary.unknown_loops:
        sentences.append(
            f"{summary.unknown_loops} loops do not say how often they run: counted once"
        )
    return sentences
