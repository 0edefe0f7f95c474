"""How the package is built: lengths, imports, names, and what an addition touches.

    python -m benchmarks.structure [ROOT ...] [--output=benchmarks/results/structure.json]

One column for each checkout, this one first if none is named. Nothing is imported or run:
everything is read from the source, so an old checkout can stand beside a new one.

- A function's length is that of its definition, docstring and nested functions included.
- A *family question* is code outside `models/` and `config/` that decides by the model's
  family: an attribute or variable named `family`, or the words "hybrid" and "mixer", in a
  comparison, a `match`, an index, or the first argument of `.get(...)`. Printing the
  family decides nothing.
- Import circles and the order of rooms: see `benchmarks/import_graph.py`.
- A name is *defined twice* if two files define a public function or class of that name.
  The functions that every file of a folder must have are counted once (PROTOCOLS).
- A function's name must begin with a verb (`benchmarks/verbs.py`).
- The files that an addition touches are listed in the table of `docs/design.md`, whose
  tests check them; for versions before that table, in `benchmarks/additions.py`.
"""

import argparse
import ast
import collections
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import additions, import_graph, verbs

MAX_FILE, MAX_FUNCTION = 250, 60
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# Folder -> the functions by which each of its files takes part in a table.
PROTOCOLS = {
    "cli": {"add"},
    "published": {"list_rows"},
    "evaluators": {"evaluate"},
    "formats": {"read", "recognises", "write"},
}


def parse_package(root: Path) -> dict[str, ast.Module]:
    """Returns the syntax trees of the package's files, by path below the root."""
    return {
        str(path.relative_to(root)): ast.parse(path.read_text())
        for path in import_graph.list_modules(root).values()
    }


def count_lines(root: Path) -> dict[str, int]:
    """Returns the lines of each file of the package."""
    paths = import_graph.list_modules(root).values()
    return {
        str(path.relative_to(root)): len(path.read_text().splitlines())
        for path in paths
    }


def measure_functions(trees: dict[str, ast.Module]) -> dict[str, int]:
    """Returns the lines of each function: "file:line name" -> lines."""
    return {
        f"{path}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, FUNCTIONS)
    }


def find_family_questions(trees: dict[str, ast.Module]) -> list[str]:
    """Returns where code outside `models/` and `config/` decides by the family."""
    found = set()
    for path, tree in trees.items():
        if path.startswith(("vit_jax/models", "vit_jax/config")):
            continue
        for node in ast.walk(tree):
            if any(_names_family(part) for part in _list_deciding_parts(node)):
                found.add(f"{path}:{getattr(node, 'lineno', 0)}")
    return sorted(found)


def _list_deciding_parts(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Compare):
        return [node.left, *node.comparators]
    if isinstance(node, ast.Match):
        return [node.subject]
    if isinstance(node, ast.Subscript):
        return [node.slice]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.args[:1] if node.func.attr == "get" else []
    return []


def _names_family(part: ast.expr) -> bool:
    return any(
        (isinstance(node, ast.Attribute) and node.attr == "family")
        or (isinstance(node, ast.Name) and node.id == "family")
        or (isinstance(node, ast.Constant) and node.value in ("hybrid", "mixer"))
        for node in ast.walk(part)
    )


def find_twins(trees: dict[str, ast.Module]) -> dict[str, list[str]]:
    """Returns the public names that several files define, with the files."""
    found = collections.defaultdict(list)
    for path, tree in trees.items():
        protocol = PROTOCOLS.get(Path(path).parent.name, set())
        names = {n.name for n in tree.body if isinstance(n, (*FUNCTIONS, ast.ClassDef))}
        for name in names - protocol:
            if not name.startswith("_"):
                found[name].append(path)
    return {name: paths for name, paths in found.items() if len(paths) > 1}


def find_nouns(trees: dict[str, ast.Module], public: bool) -> list[str]:
    """Returns the functions of modules, public or private, that begin with no verb."""
    return [
        f"{path}:{node.lineno} {node.name}"
        for path, tree in trees.items()
        for node in tree.body
        if isinstance(node, FUNCTIONS)
        and not node.name.startswith("__")
        and public != node.name.startswith("_")
        and not verbs.begins_with_verb(node.name)
    ]


def find_too_long(lengths: dict[str, int], limit: int) -> list[str]:
    """Returns what has more lines than allowed, the longest first."""
    longest = sorted(lengths.items(), key=lambda item: -item[1])
    return [f"{name} ({lines} lines)" for name, lines in longest if lines > limit]


def measure(root: Path) -> dict[str, Any]:
    """Returns all measures of a checkout; lists, where something is out of order."""
    trees = parse_package(root)
    files, functions = count_lines(root), measure_functions(trees)
    edges, order = import_graph.read_imports(root), import_graph.read_order(root)
    circles = import_graph.find_circles(edges)
    return {
        **_summarize("files", files, MAX_FILE),
        **_summarize("functions", functions, MAX_FUNCTION),
        "family questions outside models/": find_family_questions(trees),
        "import circles": [" -> ".join(circle) for circle in circles],
        "imports against the order of rooms": import_graph.find_violations(
            edges, order
        ),
        "public names defined twice": [*find_twins(trees)],
        "public functions without a verb": find_nouns(trees, public=True),
        "private functions without a verb": find_nouns(trees, public=False),
        **{
            f"files to add: {row}": paths
            for row, paths in additions.list_touched_files(root).items()
        },
    }


def _summarize(what: str, lengths: dict[str, int], limit: int) -> dict[str, Any]:
    return {
        what: len(lengths),
        f"{what}: median lines": statistics.median(lengths.values()),
        f"{what}: most lines": max(lengths.values()),
        f"{what} over {limit} lines": find_too_long(lengths, limit),
    }


def _format_rows(columns: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yields the lines of a Markdown table; a list is shown by its length."""
    yield f"| | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for row in dict.fromkeys(name for column in columns.values() for name in column):
        cells = [column.get(row, "") for column in columns.values()]
        shown = [str(len(c) if isinstance(c, list) else c) for c in cells]
        yield f"| {row} | {' | '.join(shown)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("roots", nargs="*", type=Path, help="checkouts to measure")
    parser.add_argument(
        "--output", type=Path, help="a JSON file with the lists in full"
    )
    parser.add_argument("--list", action="store_true", help="print the lists in full")
    arguments = parser.parse_args()
    roots = arguments.roots or [Path(__file__).resolve().parent.parent]
    columns = {root.resolve().name: measure(root.resolve()) for root in roots}
    print("\n".join(_format_rows(columns)))
    if arguments.list:
        for name, column in columns.items():
            for row, cell in column.items():
                for line in cell if isinstance(cell, list) else ():
                    print(f"{name}: {row}: {line}")
    if arguments.output:
        arguments.output.write_text(json.dumps(columns, indent=2) + "\n")


if __name__ == "__main__":
    main()
