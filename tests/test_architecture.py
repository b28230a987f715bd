"""The architecture, enforced: dependencies run one way, and what is imported is what is declared."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("manifests", "uso", "workers", "curation")


def sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def test_dependencies_run_one_way() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint_imports], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout


def test_every_import_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["dependencies"] + [one for extra in project["optional-dependencies"].values() for one in extra]
    declared = {_plain(re.split(r"[\[<>=!~; ]", line)[0]) for line in lines}
    distributions = packages_distributions()
    undeclared = {}
    for path in sources():
        for module in _imports(path) - set(sys.stdlib_module_names) - set(PACKAGES):
            names = {_plain(name) for name in distributions.get(module, [module])}
            if not names & declared:
                undeclared[module] = str(path.relative_to(ROOT))
    assert undeclared == {}


def test_every_module_says_what_it_is() -> None:
    silent = [str(path.relative_to(ROOT)) for path in sources() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


def test_every_key_of_the_spec_is_documented() -> None:
    from curation.spec.model import JobSpec

    page = (ROOT / "docs" / "spec.md").read_text()
    assert [name for name in JobSpec.model_fields if f"`{name}" not in page] == []


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
