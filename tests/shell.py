"""What the documents tell their reader to type, as a shell hears it.

Each document is typed into one bash, as a reader would: its variables, functions,
quotes and redirections are bash's own. Programs are stand-ins that note how they were
called; those that run others (srun, make, ssh, a pod's sh) go on to them.
"""

import os
import re
import shutil
import subprocess
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
DOCUMENTS += sorted((ROOT / "docs").glob("*.md"))
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")

PROGRAMS = ("vit-jax", "pip", "python", "python3", "python3.11", "python3.12", "git",
            "gcloud", "gcsfuse", "kubectl", "make", "mkdocs", "mpirun", "sbatch", "srun",
            "tail", "twine")  # fmt: skip
_TOOLS = ("bash", "cp", "mkdir", "nohup", "rm", "touch")  # themselves, and no others
_TYPED = re.compile(rf"(?:\w+=\S+ )?(?:{'|'.join(PROGRAMS)}|\.ci/run)(?: |$)")
_FILES = {"sh": "vit.sh", "yaml": "vit.yaml"}  # what the documents call them

_STAND_IN = r"""#!/bin/bash
name=${0##*/} last=${!#}
case $name in
  srun | mpirun)
    while [ $# -gt 0 ] && [ "${1##*/}" != vit-jax ]; do shift; done
    exec "$@" ;;
  sbatch) exec bash -eu "$1" ;;
  make) exec "$REAL_MAKE" "$@" ;;
  python3*) mkdir -p "$last"; exec cp -rT "$STAND_INS" "$last/bin" ;;  # -m venv
  gcloud) case $last in --command=*) cd ~; exec bash -euc "${last#*=}"$'\nwait' ;; esac ;;
  git) mkdir -p "$last" ;;
esac
printf '%s\0' "$#" "$AT" "$name" "$@" >> "$CALLS"
"""


class Snippet(NamedTuple):
    """A block, or code in a sentence, where the language is empty."""

    at: str  # README.md:12
    language: str
    body: str


class Call(NamedTuple):
    """A program with its arguments, and where that is written."""

    at: str
    program: str
    arguments: list[str]

    @property
    def line(self) -> str:
        return " ".join([self.program, *self.arguments])


def blocks(path: Path, language: str = "") -> list[Snippet]:
    """Returns the fenced blocks of a document, or those of one language."""
    text, found = path.read_text(), []
    for match in FENCE.finditer(text):
        at = f"{path.name}:{text.count(chr(10), 0, match.start()) + 2}"
        if language in ("", match[2]):
            found.append(Snippet(at, match[2], textwrap.dedent(match[3])))
    return found


def sentences(path: Path) -> list[Snippet]:
    """Returns the code in sentences and tables of a document, on one line each."""
    text = FENCE.sub(lambda match: "\n" * match[0].count("\n"), path.read_text())
    return [
        Snippet(
            f"{path.name}:{text.count(chr(10), 0, match.start()) + 1}",
            "",
            " ".join(match[1].split()),
        )
        for match in INLINE.finditer(text)
    ]


def is_template(code: str) -> bool:
    """Tells a command's name, or its form, from a command that can be typed."""
    num_words = len(code.split())
    is_name = num_words == 1 or (num_words == 2 and code.startswith("vit-jax "))
    return is_name or bool(re.search(r"\.\.\.|…|\bCOMMAND\b", code))


def type_document(path: Path, here: Path) -> list[Call]:
    """Returns the calls of a document that is typed in the folder ``here``."""
    snippets = [block for block in blocks(path) if block.language in _FILES]
    snippets += [
        each for each in sentences(path)
        if _TYPED.match(each.body) and not is_template(each.body)
    ]  # fmt: skip
    return type_all(sorted(snippets, key=lambda s: int(s.at.partition(":")[2])), here)


def type_all(snippets: list[Snippet], here: Path) -> list[Call]:
    """Returns the calls of snippets that are typed one after the other."""
    bash, make = shutil.which("bash"), shutil.which("make")
    if not bash or not make:
        pytest.skip("there is no bash, or no make")
    places, home = here / ".shell", here / "home"
    bin_ = places / "bin"
    bin_.mkdir(parents=True)
    for name in ("env/bin", "runs", ".zfunc", ".config/fish/completions"):
        (home / name).mkdir(parents=True, exist_ok=True)
    (home / "env" / "bin" / "activate").touch()
    for name in (*PROGRAMS, "pytest", "ruff", "pyright"):
        (bin_ / name).write_text(_STAND_IN)
        (bin_ / name).chmod(0o755)
    for tool in _TOOLS:
        (places / tool).symlink_to(shutil.which(tool) or tool)
    script = ["set -Eeu", "trap 'echo \"$AT: $BASH_COMMAND\" >&2' ERR"]
    for at, language, body in snippets:
        script.append(f"export AT={at}")
        if language and (language == "yaml" or body.startswith("#!")):
            (here / _FILES[language]).write_text(body)  # a file, not typed
        script += _pods(body) if language == "yaml" else []
        if not (language and body.startswith("#!")) and language != "yaml":
            script.append(body if language else f"( {body} )")
    environment = {
        "PATH": f"{bin_}{os.pathsep}{places}",
        "HOME": str(home), "CALLS": str(places / "calls"),
        "STAND_INS": str(bin_), "REAL_MAKE": make, "AT": "",
    }  # fmt: skip
    done = subprocess.run(
        [bash, "--norc", "-c", "\n".join(script)],
        cwd=here, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return _read(places / "calls")


def _pods(body: str) -> list[str]:
    """Returns what the pods of a Kubernetes file run."""
    lines = []
    for resource in yaml.safe_load_all(body):
        template = resource["spec"].get("template", {"spec": {"containers": []}})
        for container in template["spec"]["containers"]:
            assert container["command"] == ["sh", "-c"]
            (text,) = container["args"]
            lines.append(f"( export JOB_COMPLETION_INDEX=0\n{text} )")
    return lines


def _read(path: Path) -> list[Call]:
    words = path.read_text().split("\0") if path.exists() else [""]
    calls, i = [], 0
    while words[i]:
        end = i + 3 + int(words[i])
        calls.append(Call(words[i + 1], words[i + 2], words[i + 3 : end]))
        i = end
    return calls
