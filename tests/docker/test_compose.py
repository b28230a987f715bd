"""The cluster on one host, as Docker Compose itself reads it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docker.paths import DOCKER, checked, tool


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files with fresh secrets, as a user has them after docker/make-secrets.sh."""
    copy = tmp_path_factory.mktemp("deployment") / "docker"
    shutil.copytree(DOCKER, copy, ignore=shutil.ignore_patterns("secrets", "data", ".env"))
    checked(str(copy / "make-secrets.sh"))
    return copy


def configuration(folder: Path, **environment: str) -> dict[str, Any]:
    compose = str(folder / "compose.yaml")
    text = checked(
        tool("docker-compose"), "--file", compose, "--profile", "*", "config", "--format=json", **environment
    )
    read: dict[str, Any] = json.loads(text)
    return read


def test_compose_accepts_it_and_every_file_that_it_mounts_is_there(folder: Path) -> None:
    read = configuration(folder)
    assert set(read["services"]) == {
        *("ray-head", "cpu-worker", "gpu-worker", "object-store", "bucket", "prometheus", "grafana", "service"),
    }
    assert all(Path(secret["file"]).is_file() for secret in read["secrets"].values())
    bound = [
        volume["source"]
        for service in read["services"].values()
        for volume in service.get("volumes", [])
        if volume["type"] == "bind" and volume["target"] not in ("/data", "/specs")
    ]
    assert bound
    assert all(Path(source).exists() for source in bound)


def test_every_service_is_bounded_pinned_and_reached_from_this_host_alone(folder: Path) -> None:
    for name, service in configuration(folder)["services"].items():
        limits = service["deploy"]["resources"]["limits"]
        assert float(limits["cpus"]) > 0, name
        assert int(limits["memory"]) > 0, name
        assert re.fullmatch(r"[^:]+:[^:]+", service["image"]), name
        assert not service["image"].endswith(":latest"), name
        assert not service.get("privileged"), name
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", [])), name


def test_no_secret_is_in_what_compose_prints(folder: Path) -> None:
    printed = json.dumps(configuration(folder))
    for secret in ("ray_token", "grafana_password"):
        assert (folder / "secrets" / secret).read_text() not in printed
    user = json.loads((folder / "secrets/s3.json").read_text())["identities"][0]["credentials"][0]
    assert user["secretKey"] not in printed


def test_the_example_settings_are_the_defaults_and_name_every_setting(folder: Path) -> None:
    lines = [line for line in (DOCKER / "env.example").read_text().splitlines() if line and not line.startswith("#")]
    example = dict(line.split("=", 1) for line in lines)
    assert set(example) == set(re.findall(r"\$\{(\w+):-", (DOCKER / "compose.yaml").read_text()))
    assert configuration(folder, **example) == configuration(folder)


def test_settings_reach_the_workers(folder: Path) -> None:
    read = configuration(folder, CPU_WORKERS="3", CPU_WORKER_CPUS="6", GPU_COUNT="2", TRIPTYCH_CPU_IMAGE="mine:1")
    worker, gpu = read["services"]["cpu-worker"], read["services"]["gpu-worker"]
    assert (worker["deploy"]["replicas"], worker["image"]) == (3, "mine:1")
    assert worker["command"] == ["worker", "--num-cpus=6"]
    assert "--num-gpus=2" in gpu["command"]
    assert gpu["deploy"]["resources"]["reservations"]["devices"][0]["count"] == 2


def test_prometheus_scrapes_services_that_are_there_and_grafana_asks_it(folder: Path) -> None:
    services = configuration(folder)["services"]
    jobs = {
        job["job_name"]: job
        for job in yaml.safe_load((DOCKER / "prometheus/prometheus.yaml").read_text())["scrape_configs"]
    }
    assert set(jobs) == {"ray", "object-store", "service", "prometheus"}
    (target,) = jobs["service"]["static_configs"][0]["targets"]
    assert f"--port={target.removeprefix('service:')}" in services["service"]["command"]
    assert target.removeprefix("service:") == str(services["service"]["ports"][0]["target"])
    assert jobs["object-store"]["static_configs"][0]["targets"] == ["object-store:9327"]
    assert "-metricsPort=9327" in services["object-store"]["command"]
    discovered = Path(jobs["ray"]["file_sd_configs"][0]["files"][0])
    volumes = {
        volume["target"]: volume["source"]
        for name in ("ray-head", "prometheus")
        for volume in services[name]["volumes"]
    }
    assert volumes[str(discovered.parent)] == "ray"
    for name in ("ray-head", "prometheus"):
        assert any(v["source"] == "ray" and v["target"] == str(discovered.parent) for v in services[name]["volumes"])

    source = yaml.safe_load((DOCKER / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    provider = yaml.safe_load((DOCKER / "grafana/provisioning/dashboards/triptych.yaml").read_text())["providers"][0]
    mounted = {volume["target"]: Path(volume["source"]) for volume in services["grafana"]["volumes"]}
    assert (mounted[provider["options"]["path"]] / "triptych.json").is_file()
