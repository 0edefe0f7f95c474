"""Which file of the package imports which, read from the source without running it.

Every import counts: at the top of a file, inside functions, and under TYPE_CHECKING.
`from vit_jax.models import ViT` leads to the file that defines `ViT`, however many
`__init__.py` pass the name on. Only who imports a package as a whole, to take names from
it later, depends on all that its `__init__.py` imports. The rows of `vit_jax.config.choices` are strings, resolved when a choice
is used; they are no imports.
"""

import ast
from pathlib import Path

Edges = dict[str, dict[str, int]]  # file -> file that it imports -> line


def read_order(root: Path) -> list[str]:
    """Returns the rooms of a checkout, highest first, from its `test_imports.py`."""
    tree = ast.parse((root / "tests" / "test_imports.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ORDER":
            return ast.literal_eval(node.value)
    raise ValueError("tests/test_imports.py must assign ORDER, a list of rooms")


def list_modules(root: Path) -> dict[str, Path]:
    """Returns the package's modules: dotted name -> file."""
    found = {}
    for path in sorted((root / "vit_jax").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if parts[:2] != ("vit_jax", "configs"):  # recipes: only in a wheel
            found[".".join(parts)] = path
    return found


def find_room(module: str) -> str:
    """Returns the room in which a module stands: the first name below the package."""
    return f"{module}.__init__".split(".")[1]


class _Facades:
    """Follows a name through the `__init__.py` files that pass it on."""

    def __init__(self, modules: dict[str, Path], trees: dict[str, ast.Module]) -> None:
        self.modules = modules
        self.passed_on: dict[str, dict[str, tuple[str, str]]] = {}
        for module, path in modules.items():
            if path.name == "__init__.py":
                self.passed_on[module] = {
                    alias.asname or alias.name: (source, alias.name)
                    for node in ast.walk(trees[module])
                    if isinstance(node, ast.ImportFrom)
                    for source in [resolve_source(node, module, path)]
                    for alias in node.names
                }

    def find_home(self, module: str, name: str) -> str:
        """Returns the module that `from module import name` is about."""
        if f"{module}.{name}" in self.modules:
            return f"{module}.{name}"
        source, original = self.passed_on.get(module, {}).get(name, (module, name))
        if source == module or not source.startswith("vit_jax"):
            return module
        return self.find_home(source, original)


def resolve_source(node: ast.ImportFrom, module: str, path: Path) -> str:
    """Returns the absolute name of the module after `from`."""
    if not node.level:
        return node.module or ""
    package = module.split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    package = package[: len(package) - node.level + 1]
    return ".".join([*package, *([node.module] if node.module else [])])


def read_imports(root: Path) -> Edges:
    """Returns each module's imports of other modules of the package, with a line."""
    modules = list_modules(root)
    trees = {name: ast.parse(path.read_text()) for name, path in modules.items()}
    facades = _Facades(modules, trees)
    edges: Edges = {name: {} for name in modules}
    for module, tree in trees.items():
        for node in ast.walk(tree):
            targets = []
            if isinstance(node, ast.ImportFrom):
                source = resolve_source(node, module, modules[module])
                if source.split(".")[0] == "vit_jax":
                    targets = [
                        facades.find_home(source, alias.name)
                        for alias in node.names
                        if alias.name != "__version__"
                    ]
            elif isinstance(node, ast.Import):
                targets = [a.name for a in node.names if a.name in modules]
            for target in targets:
                if target not in modules:
                    where = f"{module}:{getattr(node, 'lineno', 0)}"
                    raise ValueError(f"{where} imports {target}, which does not exist")
                if target != module:
                    edges[module].setdefault(target, getattr(node, "lineno", 0))
    return edges


def find_circles(edges: Edges) -> list[list[str]]:
    """Returns a shortest circle for every group of files that import each other.

    A circle is a chain of modules that begins and ends with the same one.
    """
    return [
        min((_find_chain(edges, module, set(group)) for module in group), key=len)
        for group in _find_groups(edges)
    ]


def _find_groups(edges: Edges) -> list[list[str]]:
    """Returns the strongly connected groups of two modules or more."""
    reached = {module: _reach(edges, module) for module in edges}
    groups, seen = [], set()
    for module in sorted(edges):
        if module in seen or module not in reached[module]:
            continue
        group = [m for m in sorted(reached[module]) if module in reached[m]]
        seen.update(group)
        groups.append(group)
    return groups


def _reach(edges: Edges, start: str) -> set[str]:
    """Returns what one module imports, directly or through others."""
    found: set[str] = set()
    waiting = list(edges[start])
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting.extend(edges[module])
    return found


def _find_chain(edges: Edges, start: str, inside: set[str]) -> list[str]:
    """Returns the shortest chain from a module back to itself."""
    chains = [[start]]
    for chain in chains:
        for target in sorted(inside & set(edges[chain[-1]])):
            if target == start:
                return [*chain, start]
            if target not in chain:
                chains.append([*chain, target])
    raise AssertionError(f"{start} is in no circle")


def sort_files(edges: Edges, order: list[str]) -> list[str]:
    """Returns the modules in an order in which each imports only earlier ones.

    The order keeps to that of the rooms as far as the imports do.

    Raises:
      ValueError: there is a circle; the message is its chain.
    """
    circles = find_circles(edges)
    if circles:
        raise ValueError("; ".join(" -> ".join(circle) for circle in circles))
    rank = {room: index for index, room in enumerate(order)}
    waiting = sorted(edges, key=lambda m: (rank.get(find_room(m), len(order)), m))
    done: dict[str, None] = {}
    while waiting:
        module = next(m for m in waiting if all(t in done for t in edges[m]))
        done[module] = None
        waiting.remove(module)
    return list(done)


def find_violations(edges: Edges, order: list[str]) -> list[str]:
    """Returns the imports that lead from a room to one that stands below it."""
    found = []
    for module, targets in edges.items():
        room = find_room(module)
        if room == "__init__":
            continue
        if room not in order:
            found.append(f"{module} stands in no room of ORDER")
            continue
        allowed = order[: order.index(room) + 1]
        found += [
            f"{module}:{line} imports {target}"
            for target, line in sorted(targets.items())
            if find_room(target) not in [*allowed, "_version"]
        ]
    return found
