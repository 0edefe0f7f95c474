"""A compiled program in numbers: the compiler's cycles, and the collectives' traffic."""

import dataclasses
import math
import re

from vit_jax.plan.hlo import HloProgram, Instruction

# Bytes of an element; types that are not listed (token[], opaque[]) have no size.
_WIDTHS = {
    "pred": 1, "s4": 0.5, "u4": 0.5, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "s32": 4,
    "u32": 4, "s64": 8, "u64": 8, "bf16": 2, "f16": 2, "f32": 4, "f64": 8, "c64": 8,
    "f8e4m3fn": 1, "f8e5m2": 1,
}  # fmt: skip
_ARRAY = re.compile(r"\b([a-z]\w*)\[([\d,<=]*)\](\{[^{}]*\})?")
_CHANNEL = re.compile(r"channel_id=(\d+)")
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
class Collective:
    """All collectives of one kind in a step.

    Attributes:
      kind: one of `COLLECTIVES`.
      count: number of collectives.
      bytes: of their results, on one device.
      sent: bytes that one device sends, with ring algorithms.
    """

    kind: str
    count: int
    bytes: int
    sent: int


@dataclasses.dataclass(frozen=True)
class Summary:
    """A compiled program in numbers, per device.

    Attributes:
      cycles: estimate of the TPU compiler for all but the collectives; None for
        compilers without an estimate (CPU, GPU).
      collectives: one entry per kind that occurs, in the order of `COLLECTIVES`.
      custom_calls: number of kernels without an estimate.
      unknown_loops: number of loops with an unknown trip count; they are counted once.
    """

    cycles: int | None
    collectives: tuple[Collective, ...]
    custom_calls: int = 0
    unknown_loops: int = 0


def summarise_program(text: str) -> Summary:
    """Summarises the text of a program, as ``jax.stages.Compiled.as_text`` returns it."""
    program = HloProgram(text)
    cycles: list[int] = []
    # An asynchronous collective is printed several times, each with the same channel.
    found: dict[tuple[str, str], tuple[int, int, int]] = {}
    custom_calls = 0
    for times, instruction in program.list_instructions():
        estimate = _CYCLES.search(instruction.rest)
        if estimate:
            cycles.append(times * int(estimate[1]))
        kind = instruction.opcode.removesuffix("-start")
        if kind in COLLECTIVES:
            size, sent = _measure_exchange(kind, instruction)
            channel = _CHANNEL.search(instruction.rest)
            key = kind, channel[1] if channel else instruction.name
            row = times, times * size, times * sent
            found[key] = max(row, found.get(key, row))
        is_kernel = instruction.opcode == "custom-call" and not estimate
        custom_calls += times * (is_kernel and "tpu_custom_call" in instruction.rest)
    collectives = []
    for kind in COLLECTIVES:
        rows = [row for (of_kind, _), row in found.items() if of_kind == kind]
        if rows:
            sums = (sum(column) for column in zip(*rows, strict=True))
            collectives.append(Collective(kind, *sums))
    return Summary(
        sum(cycles) if cycles else None,
        tuple(collectives),
        custom_calls,
        program.unknown_loops,
    )


def count_type_bytes(text: str) -> int:
    """Returns the bytes of an array type, or the sum over the arrays of a tuple type."""
    total = 0.0
    for dtype, shape, _ in _ARRAY.findall(text):
        sides = [int(side.strip("<=")) for side in shape.split(",") if side]
        total += _WIDTHS.get(dtype, 0) * math.prod(sides)
    return int(total)


def _measure_exchange(kind: str, instruction: Instruction) -> tuple[int, int]:
    """Returns the bytes of a collective's result, and those that one device sends."""
    result = instruction.type
    if instruction.opcode in ("all-gather-start", "collective-permute-start"):
        result = _split_tuple(result)[1]  # (what goes in, what comes out, ...)
    size, group = count_type_bytes(result), _find_group_size(instruction.rest)
    others = (group - 1) / group
    sent = {
        "all-reduce": 2 * size * others,  # reduce-scatter, then all-gather
        "all-gather": size * others,
        "reduce-scatter": size * (group - 1),  # the result is 1/group of the operand
        "all-to-all": size * others,
        "collective-permute": size,
    }[kind]
    return size, round(sent)


def _split_tuple(type_: str) -> list[str]:
    """Returns the members of a tuple type; nested tuples stay whole."""
    depth, parts = 0, [""]
    for character in type_.strip()[1:-1]:
        depth += character in "([{"
        depth -= character in ")]}"
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _find_group_size(rest: str) -> int:
    match = _GROUPS.search(rest)
    if match:
        return int(match[1]) if match[1] else len(match[2].split(","))
    match = _MESH_GROUPS.search(rest)
    if not match:
        return 2  # collective-permute: pairs of devices
    sizes = dict(re.findall(r"'(\w+)'=(\d+)", match[1]))
    # An axis, or a part of one, printed as 'a':(before)size.
    axes = re.findall(r"'(\w+)'(?::\(\d+\)(\d+))?", match[2])
    return math.prod(int(part or sizes[name]) for name, part in axes)
