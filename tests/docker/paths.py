"""Where the files of a deployment lie, and the tools that check them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DOCKER = Path(__file__).resolve().parents[2] / "docker"


def tool(name: str) -> str:
    """Return the path of a program that a package of the `dev` extra brought."""
    return str(Path(sys.executable).with_name(name))


def checked(*command: str, **environment: str) -> str:
    """Run a program that must succeed, and return what it printed; what it complained of is in the failure."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, env={**os.environ, **environment})
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout
