"""An HTML page about a run: its curves, accuracy and config. Needs the extra ``plots``."""

from pathlib import Path

import jax

from vit_jax import models
from vit_jax.checkpoints.load import load
from vit_jax.errors import ConfigError
from vit_jax.figures import Album
from vit_jax.figures.canvas import make_figure
from vit_jax.report.page import render_page
from vit_jax.report.sections import make_sections
from vit_jax.report.summary import render_summary
from vit_jax.storage import bucket
from vit_jax.training.metrics import read_metrics

__all__ = ["write_report"]


def write_report(workdir: str | Path, output: str | Path | None = None) -> Path:
    """Writes an HTML page about a run; returns its path.

    The page is a single file. The newest checkpoint of the run is evaluated for it.

    Args:
      workdir: of the run; may be in a bucket.
      output: path of the page; None: ``report.html`` in the workdir.

    Raises:
      ConfigError: there is no checkpoint, Matplotlib is not installed, or the page cannot
        be written.

    Example:
      >>> write_report("runs/digits")
    """
    workdir = bucket.open_location(workdir)
    output = bucket.open_location(output) if output else workdir / "report.html"
    make_figure(1, 1, "")  # fails before any work if Matplotlib is missing
    loaded = load(workdir)
    if loaded.run is None:
        raise ConfigError(
            f"WORKDIR must be the workdir of a run, got {workdir}; for other checkpoints "
            "use `vit-jax figures` and `vit-jax eval`"
        )
    path = workdir / "metrics.jsonl"
    lines = read_metrics(path) if path.exists() else []
    album = Album(loaded)
    num_params = sum(leaf.size for leaf in jax.tree.leaves(loaded.params))
    model = models.describe_model(loaded.config)
    page = render_page(
        title=loaded.run.name,
        subtitle=f"{model[:1].upper()}{model[1:]} on {loaded.run.data.source}, step {loaded.step:,}, in "
        f"{bucket.make_absolute(workdir)}",
        top=render_summary(album, lines, num_params),
        sections=make_sections(album, lines, workdir),
    )
    _write_page(output, page)
    return output


def _write_page(output: Path, page: str) -> None:
    try:
        if not bucket.is_bucket(output):
            output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(page.encode(errors="replace"))
    except Exception as error:
        why = bucket.explain_storage_error(error) or getattr(error, "strerror", None)
        if why is None:
            raise
        raise ConfigError(
            f"output {output} cannot be written to: {why}; choose another file"
        ) from error
