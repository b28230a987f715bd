"""The sequence of a network with content and style, split over two processes by diffusers' own plan."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_two_processes_compute_what_one_does(reference_path: Path) -> None:
    worker = Path(__file__).with_name("context_parallel_worker.py")
    command = [sys.executable, str(worker), str(reference_path)]
    found = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr
