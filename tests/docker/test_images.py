"""The images: their Dockerfile and scripts by the linters, and what the build context lets in."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.docker.paths import DOCKER, checked, tool

SCRIPTS = sorted(DOCKER.glob("*.sh"))
DOCKERFILE = (DOCKER / "Dockerfile").read_text()


def test_linters_find_nothing_in_the_dockerfile_and_the_scripts() -> None:
    checked(tool("hadolint"), str(DOCKER / "Dockerfile"))
    checked(tool("shellcheck"), *map(str, SCRIPTS))


def test_the_dockerfile_linter_would_find_something(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE.replace("3.11.14-slim-bookworm", "latest"))
    done = subprocess.run([tool("hadolint"), tmp_path / "Dockerfile"], capture_output=True, text=True)
    assert "DL3007" in done.stdout


def test_images_run_without_rights_and_say_how_they_are() -> None:
    stages = dict(re.findall(r"^FROM \S+ AS (\w+)$(.*?)(?=^FROM |\Z)", DOCKERFILE, flags=re.DOTALL | re.MULTILINE))
    for image in ("cpu", "gpu"):
        users = re.findall(r"^USER (.+)$", stages[image], flags=re.MULTILINE)
        assert users == ["1000:1000"], image
    assert "HEALTHCHECK" in stages["runtime"]
    assert set(re.findall(r"org\.opencontainers\.image\.(\w+)=", stages["runtime"])) >= {"title", "version", "licenses"}


def test_all_that_is_copied_is_let_into_the_build_context_and_there() -> None:
    allowed = {line[1:] for line in (DOCKER / "Dockerfile.dockerignore").read_text().split() if line.startswith("!")}
    copied = {
        source
        for sources in re.findall(r"^COPY (?:--chmod=\S+ )?(?!--from)(.+) \S+$", DOCKERFILE, flags=re.MULTILINE)
        for source in sources.split()
    }
    assert copied == allowed
    assert all((DOCKER.parent / path).exists() for path in copied)


def test_the_extras_that_images_install_are_those_of_the_package() -> None:
    extras = tomllib.loads((DOCKER.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = [line.split(",") for line in re.findall(r"^ARG EXTRAS=(.+)$", DOCKERFILE, flags=re.MULTILINE)]
    assert len(asked) == 2
    assert all({"model", "s3"} <= set(names) <= set(extras) for names in asked)


def test_secrets_are_made_once_agree_with_each_other_and_are_not_shown(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    printed = checked(str(DOCKER / "make-secrets.sh"), str(folder))
    made = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(made) == {"ray_token", "grafana_password", "aws_credentials", "s3.json"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    user = json.loads(made["s3.json"])["identities"][0]["credentials"][0]
    assert f"aws_secret_access_key = {user['secretKey']}\n" in made["aws_credentials"]
    assert len(made["ray_token"]) == 64
    assert not any(secret in printed for secret in (made["ray_token"], made["grafana_password"], user["secretKey"]))

    assert checked(str(DOCKER / "make-secrets.sh"), str(folder)) == ""
    assert made == {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        ([], {}, "say what to run"),
        (["worker"], {}, "RAY_HEAD must name the head"),
        (["head"], {"RAY_AUTH_MODE": "token"}, "RAY_AUTH_TOKEN_PATH must name"),
        (["worker"], {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/nowhere"}, "/nowhere is not there"),
    ],
)
def test_a_container_that_cannot_start_says_what_is_missing(
    arguments: list[str], environment: dict[str, str], says: str
) -> None:
    done = subprocess.run(
        [DOCKER / "entrypoint.sh", *arguments],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", **environment},
    )
    assert done.returncode == 2
    assert says in done.stderr


def test_a_container_runs_any_other_command_as_it_stands() -> None:
    assert checked(str(DOCKER / "entrypoint.sh"), "echo", "a  b", "$HOME") == "a  b $HOME\n"
