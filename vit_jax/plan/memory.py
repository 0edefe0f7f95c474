"""What a compiled program needs of the memory of one device, by the compiler's count."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class ProgramMemory:
    """Bytes of one device while a compiled program runs, by the compiler's count.

    Attributes:
      arguments: state and batch.
      outputs: results that do not reuse the memory of a donated argument.
      temporaries: gradients, activations and all else that is alive at the peak.
      code: of the program itself; 0 where it is not stored in the device's memory.
    """

    arguments: int
    outputs: int
    temporaries: int
    code: int

    @property
    def total(self) -> int:
        """The sum of all kinds, in bytes."""
        return sum(dataclasses.asdict(self).values())


def measure_program(compiled: Any) -> ProgramMemory:
    """Returns the memory that a ``jax.stages.Compiled`` needs on each device."""
    stats = compiled.memory_analysis()
    return ProgramMemory(
        arguments=stats.argument_size_in_bytes,
        outputs=stats.output_size_in_bytes - stats.alias_size_in_bytes,
        temporaries=stats.temp_size_in_bytes,
        code=stats.generated_code_size_in_bytes,
    )
