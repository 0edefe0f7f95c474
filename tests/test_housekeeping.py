"""The files around the package agree with it: workflows, hooks, citation, metadata."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import vit_jax

ROOT = Path(__file__).parent.parent
GITHUB = ROOT / ".github"
YAML = [
    *GITHUB.rglob("*.yml"), ROOT / ".pre-commit-config.yaml", ROOT / "CITATION.cff",
]  # fmt: skip
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def read_yaml(path: Path) -> dict:
    return yaml.safe_load(path.read_text())


def read_project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("path", YAML, ids=lambda p: p.name)
def test_it_is_yaml(path):
    assert read_yaml(path)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_workflows_call_the_makefile(path):
    workflow = read_yaml(path)
    assert True in workflow  # "on", which YAML 1.1 reads as a truth value
    assert workflow["permissions"] == {"contents": "read"}
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    commands = [step["run"] for step in steps if "run" in step]
    assert commands
    for command in commands:
        program, *words = command.split()
        assert program == "make", command
        assert {word for word in words if "=" not in word} <= TARGETS, command
    for job in workflow["jobs"].values():
        assert set(job.get("needs", "").split()) <= set(workflow["jobs"])


def test_every_python_is_tested():
    matrix = read_yaml(GITHUB / "workflows" / "checks.yml")["jobs"]["test"]["strategy"]
    prefix = "Programming Language :: Python :: 3."
    named = {
        name.removeprefix(prefix.removesuffix("3."))
        for name in read_project()["classifiers"]
        if name.startswith(prefix)
    }
    assert set(matrix["matrix"]["python"]) == named
    assert f">={min(named)}" == read_project()["requires-python"]
    systems = {row["os"].split("-")[0] for row in matrix["matrix"]["include"]}
    assert systems == {"macos", "windows"}


def test_targets_are_phony():
    found = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found
    assert set(found[1].split()) == TARGETS


def test_hooks_use_the_ruff_of_the_tests():
    hooks = read_yaml(ROOT / ".pre-commit-config.yaml")["repos"]
    (version,) = [repo["rev"] for repo in hooks if "ruff" in repo["repo"]]
    assert f"ruff=={version[1:]}\n" in (ROOT / "constraints.txt").read_text()


def test_citation_and_addresses_agree():
    citation, project = read_yaml(ROOT / "CITATION.cff"), read_project()
    assert citation["version"] == vit_jax.__version__
    assert citation["license"] == project["license"]
    repository = project["urls"]["Repository"]
    assert citation["repository-code"] == repository
    assert f"{repository}/issues" == project["urls"]["Issues"]
    owner = repository.removeprefix("https://github.com/")
    assert f"github/{owner}/blob/main" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    "path", sorted(GITHUB.glob("ISSUE_TEMPLATE/[bf]*.yml")), ids=lambda p: p.name
)
def test_issue_forms_ask_something(path):
    form = read_yaml(path)
    assert form["name"]
    assert form["description"]
    assert any(part.get("validations", {}).get("required") for part in form["body"])
    ids = [part["id"] for part in form["body"]]
    assert len(set(ids)) == len(ids)
