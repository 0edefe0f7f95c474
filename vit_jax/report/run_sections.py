"""The sections of a report about the run: curves, events, config."""

import dataclasses
import datetime
import json
from pathlib import Path
from typing import Any

from vit_jax.figures import PANELS, draw_curve
from vit_jax.report.page import Section, render_picture, render_table, render_text
from vit_jax.report.summary import Lines, list_values
from vit_jax.training.events import read_events


def make_curves_section(lines: Lines) -> Section:
    """Returns the curves of the metrics that the run logged."""
    shown = [render_picture(draw_curve(lines, name), name, "svg") for name in PANELS]
    note = ""
    if not list_values(lines, "mfu"):
        note = "<p>MFU is not shown: the peak FLOP/s of this device are unknown.</p>"
    return Section("Curves", f'<div class="pair">{"".join(shown)}</div>{note}')


def make_events_section(workdir: Path) -> Section:
    """Returns the log of events, and the images that could not be read.

    Args:
      workdir: of the run; may be in a bucket.
    """
    rows = [
        (
            f"{datetime.datetime.fromtimestamp(event['time']):%Y-%m-%d %H:%M:%S}",
            render_text(event["event"]),
            f"{event['step']:,}",
            render_text(event.get("detail", "")),
        )
        for event in read_events(workdir)
    ]
    body = (
        render_table(("~time", "~event", ">step", "detail"), rows)
        if rows
        else "<p>This run logged no events.</p>"
    )
    return Section("Events", body + _render_bad_files(workdir))


def make_config_section(values: Any) -> Section:
    """Returns the whole config of a run, a group for each of its sections.

    Args:
      values: the config, a dataclass.
    """
    groups, single = [], []
    for name, value in dataclasses.asdict(values).items():
        if isinstance(value, dict):
            rows = [
                (render_text(key), render_text(_format_value(x)))
                for key, x in value.items()
            ]
            opened = " open" if name in ("model", "data") else ""
            shown = render_table(("key", "value"), rows)
            groups.append(
                f"<details{opened}><summary>{render_text(name)}</summary>{shown}</details>"
            )
        else:
            single.append((render_text(name), render_text(_format_value(value))))
    return Section("Config", render_table(("key", "value"), single) + "".join(groups))


def _render_bad_files(workdir: Path) -> str:
    lines = [
        line
        for path in sorted(workdir.glob("bad_files*.txt"))  # one per host
        for line in path.read_bytes().decode(errors="replace").splitlines()
    ]
    body = f"<p>Images that could not be read: {len(lines)}.</p>"
    if lines:
        pairs = (line.partition("\t") for line in lines)
        cells = [(render_text(name), render_text(reason)) for name, _, reason in pairs]
        body += render_table(("image", "reason"), cells)
    return body


def _format_value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
