"""What a compiled program says about itself: its text, read as a table.

XLA prints one computation after the other, callees first. The body of a loop stands
there once, so each instruction is counted as often as its computation runs.
"""

import dataclasses
import math
import re
from collections.abc import Iterator

# Bytes of an element; what is not here (token[], opaque[]) has none.
_WIDTHS = {
    "pred": 1, "s4": 0.5, "u4": 0.5, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "s32": 4,
    "u32": 4, "s64": 8, "u64": 8, "bf16": 2, "f16": 2, "f32": 4, "f64": 8, "c64": 8,
    "f8e4m3fn": 1, "f8e5m2": 1,
}  # fmt: skip
_ARRAY = re.compile(r"\b([a-z]\w*)\[([\d,<=]*)\](\{[^{}]*\})?")
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = (.*?) ([a-z][\w-]*)\((.*)$")
_CALLED = re.compile(
    r"(?:calls|to_apply|body|condition|branch_computations|called_computations)="
    r"(\{[^}]*\}|%?[\w.-]+)"
)
_TRIPS = re.compile(r'known_trip_count\\?":\s*\{\\?"n\\?":\s*\\?"(\d+)')
_CYCLES = re.compile(r'estimated_cycles\\?":\s*\\?"(\d+)')
# [groups,size]<=[...], {{0,1,...},...} or mesh['a'=4,'b'=2] {'a'}
_GROUPS = re.compile(r"replica_groups=(?:\[\d+,(\d+)\]|\{\{([\d,]*)\})")
_MESH_GROUPS = re.compile(r"replica_groups=@?\w*\[([^\]]*)\] ?\{([^}]*)\}")

COLLECTIVES = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
)


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line: ``type`` is the text of what it returns, ``rest`` what follows."""

    name: str
    type: str
    opcode: str
    rest: str


@dataclasses.dataclass(frozen=True)
class Collective:
    """A kind of exchange among groups of devices.

    Attributes:
      kind: one of `COLLECTIVES`.
      count: how often a step does it.
      bytes: of the results, on one device.
      sent: bytes that leave one device, by the ring algorithm of its kind.
    """

    kind: str
    count: int
    bytes: int
    sent: int


@dataclasses.dataclass(frozen=True)
class Summary:
    """A program in numbers, of one device.

    Attributes:
      cycles: that the TPU compiler estimates for everything but collectives; None
        where it prints none (CPU, GPU).
      collectives: in the order of `COLLECTIVES`, those that occur.
      custom_calls: kernels that the compiler has no estimate of.
    """

    cycles: int | None
    collectives: tuple[Collective, ...]
    custom_calls: int


def summarise(text: str) -> Summary:
    """Returns what ``jax.stages.Compiled.as_text`` says in numbers."""
    cycles: list[int] = []
    found: dict[str, list[tuple[int, int, int]]] = {kind: [] for kind in COLLECTIVES}
    custom_calls = 0
    for times, instruction in instructions(text):
        estimate = _CYCLES.search(instruction.rest)
        if estimate:
            cycles.append(times * int(estimate[1]))
        kind = instruction.opcode.removesuffix("-start")
        if kind in found:
            size, sent = _exchange(kind, instruction)
            found[kind].append((times, times * size, times * sent))
        is_kernel = instruction.opcode == "custom-call" and not estimate
        custom_calls += times * (is_kernel and "tpu_custom_call" in instruction.rest)
    collectives = [
        Collective(kind, *(sum(column) for column in zip(*rows, strict=True)))
        for kind, rows in found.items()
        if rows
    ]
    return Summary(sum(cycles) if cycles else None, tuple(collectives), custom_calls)


def instructions(text: str) -> Iterator[tuple[int, Instruction]]:
    """Yields each instruction with how often a step runs it."""
    computations, entry = _parse(text)
    times = dict.fromkeys(computations, 0)
    times[entry] = 1
    for name in reversed(computations):  # callers stand below what they call
        for instruction in computations[name]:
            if not times[name]:
                break
            # A start and its done both name what they run.
            if not instruction.opcode.endswith(("-done", "-update")):
                for called, trips in _calls(instruction):
                    if called in times:
                        times[called] += times[name] * trips
    for name, lines in computations.items():
        if times[name]:
            yield from ((times[name], instruction) for instruction in lines)


def _parse(text: str) -> tuple[dict[str, list[Instruction]], str]:
    computations: dict[str, list[Instruction]] = {}
    entry, lines = "", []
    for line in text.splitlines():
        header = _COMPUTATION.match(line)
        if header:
            lines = computations.setdefault(header[2], [])
            entry = header[2] if header[1] else entry
            continue
        match = _INSTRUCTION.match(line)
        if match:
            lines.append(Instruction(*match.groups()))
    return computations, entry


def _calls(instruction: Instruction) -> Iterator[tuple[str, int]]:
    trips = 1
    if instruction.opcode == "while":
        known = _TRIPS.search(instruction.rest)
        trips = int(known[1]) if known else 1
    for match in _CALLED.finditer(instruction.rest):
        for name in match[1].strip("{}").split(","):
            yield name.strip().removeprefix("%"), trips


def type_bytes(text: str) -> int:
    """Returns the bytes of an array type, or of all arrays of a tuple's."""
    total = 0.0
    for dtype, shape, _ in _ARRAY.findall(text):
        sides = [int(side.strip("<=")) for side in shape.split(",") if side]
        total += _WIDTHS.get(dtype, 0) * math.prod(sides)
    return int(total)


def _exchange(kind: str, instruction: Instruction) -> tuple[int, int]:
    """Returns bytes of the result, and bytes that one device sends."""
    result = instruction.type
    if instruction.opcode in ("all-gather-start", "collective-permute-start"):
        result = _parts(result)[1]  # (what goes in, what comes out, ...)
    size, group = type_bytes(result), _group_size(instruction.rest)
    others = (group - 1) / group
    sent = {
        "all-reduce": 2 * size * others,  # reduce-scatter, then all-gather
        "all-gather": size * others,
        "reduce-scatter": size * (group - 1),  # the result is 1/group of what goes in
        "all-to-all": size * others,
        "collective-permute": size,
    }[kind]
    return size, round(sent)


def _parts(type_: str) -> list[str]:
    """Returns the members of a tuple type, nested tuples whole."""
    depth, parts = 0, [""]
    for character in type_.strip()[1:-1]:
        depth += character in "([{"
        depth -= character in ")]}"
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _group_size(rest: str) -> int:
    match = _GROUPS.search(rest)
    if match:
        return int(match[1]) if match[1] else len(match[2].split(","))
    match = _MESH_GROUPS.search(rest)
    if not match:
        return 2  # pairs
    sizes = dict(re.findall(r"'(\w+)'=(\d+)", match[1]))
    # An axis, or the part of it that is written 'a':(before)size.
    axes = re.findall(r"'(\w+)'(?::\(\d+\)(\d+))?", match[2])
    return math.prod(int(part or sizes[name]) for name, part in axes)
