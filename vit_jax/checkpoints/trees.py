"""Flat trees, tables of renames, and the report of what does not fit.

A tree is flat here: ``{"a/b/c": array}``. A format is a table of rules, each of which
says how one array of theirs becomes one or several of ours; the same table, read from
right to left, writes the format.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from vit_jax.checkpoints.lazy import Lazy, Shape, rearrange_shape, stack_lazy
from vit_jax.errors import ConfigError

SHOWN = 4  # names of each kind in a message; the error object has all


class Rule(NamedTuple):
    """How one array is called there, and what it is here.

    Attributes:
        theirs: the name in the file; ``{i}`` stands for a layer's number.
        ours: the canonical names. Several share one array of theirs: equal parts along
            its first axis, in this order.
        pattern: einops, from (a part of) theirs to ours; None: the same shape.
    """

    theirs: str
    ours: tuple[str, ...]
    pattern: str | None = None

    def at(self, i: int) -> "Rule":
        """Returns the rule for layer ``i``."""
        ours = tuple(name.replace("{i}", str(i)) for name in self.ours)
        return Rule(self.theirs.replace("{i}", str(i)), ours, self.pattern)

    def their_shape(self, our_shapes: Mapping[str, Shape]) -> Shape:
        """Returns the shape that theirs must have."""
        shape = our_shapes[self.ours[0]]
        if self.pattern is not None:
            shape = rearrange_shape(shape, _invert(self.pattern))
        if len(self.ours) > 1:
            shape = (shape[0] * len(self.ours), *shape[1:])
        return shape


class MismatchError(ConfigError):
    """A checkpoint that does not fit; ``missing``, ``extra``, ``shapes`` have all."""

    def __init__(
        self,
        what: str,
        advice: str,
        missing: Sequence[str] = (),
        extra: Sequence[str] = (),
        shapes: Mapping[str, tuple[Shape, Shape]] | None = None,
    ):
        self.missing, self.extra, self.shapes = missing, extra, dict(shapes or {})
        wrong = [
            f"{name} is {got}, not {expected}"
            for name, (got, expected) in self.shapes.items()
        ]
        kinds = (("missing", missing), ("extra", extra), ("another shape", wrong))
        parts = [f"{kind}: {abridge(names)}" for kind, names in kinds if names]
        super().__init__(f"{what} does not fit: {'; '.join(parts)}; {advice}")


def abridge(names: Sequence[str]) -> str:
    """Returns the first few of the names, and how many more there are."""
    shown = ", ".join(make_printable(name) for name in names[:SHOWN])
    more = len(names) - SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def make_printable(text: str, longest: int = 120) -> str:
    """Returns a text out of a file as one short line, whatever is in it."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def expand_rules(table: Iterable[Rule], num_layers: int) -> list[Rule]:
    """Returns the rules with every layer's number put in."""
    rules: list[Rule] = []
    for rule in table:
        layers = range(num_layers) if "{i}" in rule.theirs else (0,)
        rules += [rule.at(i) for i in layers]
    return rules


def convert_from(
    tensors: Mapping[str, Lazy],
    rules: Iterable[Rule],
    shapes: Mapping[str, Shape],
    what: str,
    advice: str = "is the file complete, and of a model that is supported?",
) -> dict[str, Lazy]:
    """Returns the tree under canonical names; nothing is read yet.

    Args:
        tensors: the file, without what is not of this model.
        rules: expanded; those for options that ``shapes`` lacks find nothing.
        shapes: every canonical name, with the shape that it must have.
        what: the file, for the message.
        advice: what to do, for the message.

    Raises:
        MismatchError: unless each tensor is used and each name found, in its shape.
    """
    tree: dict[str, Lazy] = {}
    used: set[str] = set()
    wrong: dict[str, tuple[Shape, Shape]] = {}
    for rule in rules:
        known = rule.theirs in tensors and all(name in shapes for name in rule.ours)
        if not known or any(name in tree for name in rule.ours):
            continue
        theirs = tensors[rule.theirs]
        used.add(rule.theirs)
        expected = rule.their_shape(shapes)
        if theirs.shape != expected:
            wrong[rule.theirs] = (theirs.shape, expected)
        for i, name in enumerate(rule.ours):
            if theirs.shape == expected:
                part = theirs.part(i, len(rule.ours))
                sizes = _find_sizes(rule.pattern, shapes[name])
                tree[name] = part.rearranged(rule.pattern, **sizes)
    lost = {name for rule in rules if rule.theirs in wrong for name in rule.ours}
    missing = [name for name in shapes if name not in tree and name not in lost]
    extra = [name for name in tensors if name not in used]
    if missing or extra or wrong:
        raise MismatchError(what, advice, missing, extra, wrong)
    return tree


def convert_to(
    tree: Mapping[str, Lazy], rules: Iterable[Rule], what: str
) -> dict[str, Lazy]:
    """Returns the arrays under the format's names; the inverse of `convert_from`.

    Raises:
        MismatchError: if a tensor has no place there.
    """
    tensors: dict[str, Lazy] = {}
    used: set[str] = set()
    for rule in rules:
        if all(name in tree for name in rule.ours) and not used & set(rule.ours):
            used.update(rule.ours)
            inverse = rule.pattern and _invert(rule.pattern)
            tensors[rule.theirs] = stack_lazy([tree[n] for n in rule.ours], inverse)
    extra = [name for name in tree if name not in used]
    if extra:
        raise MismatchError(what, "choose another format", extra=extra)
    return tensors


def check_tree(
    tree: Mapping[str, Any], shapes: Mapping[str, Shape], what: str, advice: str
) -> None:
    """Raises MismatchError unless the tree has these names, in these shapes."""
    missing = [name for name in shapes if name not in tree]
    extra = [name for name in tree if name not in shapes]
    wrong = {
        name: (tuple(tree[name].shape), shape)
        for name, shape in shapes.items()
        if name in tree and tuple(tree[name].shape) != shape
    }
    if missing or extra or wrong:
        raise MismatchError(what, advice, missing, extra, wrong)


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Returns ``{"a": {"b": x}}`` for ``{"a/b": x}``."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *parents, last = name.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return tree


def _invert(pattern: str) -> str:
    left, right = pattern.split(" -> ")
    return f"{right} -> {left}"


def _find_sizes(pattern: str | None, shape: Shape) -> dict[str, int]:
    """Returns the sizes of the named axes on the pattern's right."""
    if pattern is None or "..." in pattern:
        return {}
    axes = pattern.split(" -> ")[1].split()
    sizes = zip(axes, shape, strict=True)
    return {axis: size for axis, size in sizes if axis.isidentifier()}
