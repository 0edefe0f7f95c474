"""A full memory, explained by the room that counts memory."""

import contextlib
from collections.abc import Iterator

from vit_jax.config.choices import import_named
from vit_jax.training.run import Setup

# `plan` stands below this room: it is named, as choices are, and imported when there is
# something to explain.
EXPLAIN = "plan.out_of_memory:explain_out_of_memory"


@contextlib.contextmanager
def explain_memory(setup: Setup) -> Iterator[None]:
    """Turns XLA's "RESOURCE_EXHAUSTED" into a ConfigError of one line."""
    try:
        yield
    except Exception as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        program = setup.program
        with import_named(EXPLAIN)(
            setup.config, program.abstract_state, setup.mesh, program.num_outputs
        ):
            raise
