"""The text of a compiled program, and how often each of its instructions runs.

XLA prints computations one after the other, callees first. The body of a loop is printed
once, so an instruction counts as often as its computation runs.
"""

import dataclasses
import re
from collections.abc import Iterator

_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = (.*?) ([a-z][\w-]*)\((.*)$")
_CALLED = re.compile(
    r"(?:calls|to_apply|body|condition|branch_computations|called_computations)="
    r"(\{[^}]*\}|%?[\w.-]+)"
)
_TRIPS = re.compile(r'known_trip_count\\?":\s*\{\\?"n\\?":\s*\\?"(\d+)')


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line of the text.

    Attributes:
      name: of the result.
      type: text of the result's type.
      opcode: such as ``dot`` or ``all-reduce``.
      rest: the operands and attributes that follow the opcode, as text.
    """

    name: str
    type: str
    opcode: str
    rest: str


class HloProgram:
    """The computations of a program's text, and how often a step runs each.

    Attributes:
      unknown_loops: number of loops with an unknown trip count; they count as one trip.
    """

    def __init__(self, text: str) -> None:
        self._computations: dict[str, dict[str, Instruction]] = {}
        self.unknown_loops = 0
        entry, lines = "", {}
        for line in text.splitlines():
            header = _COMPUTATION.match(line)
            if header:
                lines = self._computations.setdefault(header[2], {})
                entry = header[2] if header[1] else entry
                continue
            match = _INSTRUCTION.match(line)
            if match:
                instruction = Instruction(*match.groups())
                lines[instruction.name] = instruction
        self._times = dict.fromkeys(self._computations, 0)
        self._times[entry] = 1
        for name in reversed(self._computations):  # callers come after their callees
            if self._times[name]:
                for instruction in self._computations[name].values():
                    self._call(instruction, name)

    def list_instructions(self) -> Iterator[tuple[int, Instruction]]:
        """Yields (number of runs in a step, instruction)."""
        for name, lines in self._computations.items():
            if self._times[name]:
                yield from ((self._times[name], line) for line in lines.values())

    def _call(self, instruction: Instruction, caller: str) -> None:
        # An asynchronous start and its done both name the computation that runs once.
        if instruction.opcode.endswith(("-done", "-update")):
            return
        called = [
            name.strip().removeprefix("%")
            for match in _CALLED.finditer(instruction.rest)
            for name in match[1].strip("{}").split(",")
        ]
        trips = 1
        if instruction.opcode == "while" and called:
            trips = self._count_trips(instruction, caller)
        for name in called:
            if name in self._times:
                self._times[name] += self._times[caller] * trips

    def _count_trips(self, loop: Instruction, caller: str) -> int:
        known = _TRIPS.search(loop.rest)
        if known:
            return int(known[1])
        trips = self._count_up(loop, caller)
        self.unknown_loops += trips is None
        return trips or 1

    def _count_up(self, loop: Instruction, caller: str) -> int | None:
        """Counts ``for (i = start; i < end; i += 1)``: TPU text has no trip count."""
        condition = re.search(r"condition=%?([\w.-]+)", loop.rest)
        lines = self._computations.get(condition[1], {}) if condition else {}
        tests = [line for line in lines.values() if line.opcode == "compare"]
        if len(tests) != 1 or "direction=LT" not in tests[0].rest:
            return None
        index, end = (lines.get(name) for name in _list_operands(tests[0])[:2])
        position = re.search(r"index=(\d+)", index.rest) if index else None
        if not end or end.opcode != "constant" or not position:
            return None
        here = self._computations[caller]
        first = here.get(_list_operands(loop)[0])
        start = 0
        if first and first.opcode == "tuple":
            begin = here.get(_list_operands(first)[int(position[1])])
            if begin and begin.opcode == "constant":
                start = int(_list_operands(begin)[0])
        return int(_list_operands(end)[0]) - start


def _list_operands(instruction: Instruction) -> list[str]:
    inside = instruction.rest.partition(")")[0]
    inside = re.sub(r"/\*.*?\*/", "", inside)
    return [name.strip().removeprefix("%") for name in inside.split(",")]
