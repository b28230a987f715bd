"""The KubeRay manifests: pods by Kubernetes' own schemas, the rest by the fields of KubeRay's `ray.io/v1`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import ray
import yaml
from typer.testing import CliRunner

from curation.cli.main import app
from curation.spec.load import load_spec
from tests.docker.paths import DOCKER

KUBERNETES = "1.34"
STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}
OBJECT = {"type": "object"}
COUNT = {"type": "integer", "minimum": 0}


def fields(needed: str, **properties: Any) -> dict[str, Any]:
    """Return the schema of an object that has these fields and no others."""
    return {"type": "object", "properties": properties, "required": needed.split(), "additionalProperties": False}


# The fields of KubeRay 1.6's API reference that a manifest sets, as far as we use them; what is not here is refused.
GROUP = fields(
    "groupName replicas minReplicas maxReplicas rayStartParams template",
    groupName={"type": "string", "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"},
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    rayStartParams=STRINGS,
    template=OBJECT,
)
CLUSTER = fields(
    "rayVersion headGroupSpec workerGroupSpecs",
    rayVersion={"type": "string"},
    authOptions=fields("mode", mode={"enum": ["disabled", "token"]}),
    enableInTreeAutoscaling={"type": "boolean"},
    autoscalerOptions=fields(
        "",
        idleTimeoutSeconds=COUNT,
        upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
        resources=OBJECT,
    ),
    headGroupSpec=fields("rayStartParams template", rayStartParams=STRINGS, template=OBJECT),
    workerGroupSpecs={"type": "array", "items": GROUP, "minItems": 1},
)
JOB = fields(
    "entrypoint rayClusterSpec",
    entrypoint={"type": "string"},
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
    backoffLimit=COUNT,
    shutdownAfterJobFinishes={"type": "boolean"},
    ttlSecondsAfterFinished=COUNT,
    rayClusterSpec=CLUSTER,
)
MANIFESTS = {
    (path.stem, manifest["kind"]): manifest
    for path in sorted((DOCKER / "kuberay").glob("*.yaml"))
    for manifest in yaml.safe_load_all(path.read_text())
}
CLUSTERS = {
    "raycluster": MANIFESTS["raycluster", "RayCluster"]["spec"],
    "rayjob": MANIFESTS["rayjob", "RayJob"]["spec"]["rayClusterSpec"],
}


def groups(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def as_pod(template: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pod", **template["metadata"]},
        "spec": template["spec"],
    }


def test_manifests_are_of_kuberays_kinds_and_fields() -> None:
    assert set(MANIFESTS) == {("raycluster", "RayCluster"), ("rayjob", "ConfigMap"), ("rayjob", "RayJob")}
    for kind, schema in (("RayCluster", CLUSTER), ("RayJob", JOB)):
        (manifest,) = (each for (_, its), each in MANIFESTS.items() if its == kind)
        assert manifest["apiVersion"] == "ray.io/v1"
        jsonschema.validate(manifest["spec"], schema)


@pytest.mark.parametrize("name", CLUSTERS)
def test_pods_and_the_config_map_are_valid_kubernetes(name: str) -> None:
    for group in groups(CLUSTERS[name]):
        kubernetes_validate.validate(as_pod(group["template"]), KUBERNETES, strict=True)
    kubernetes_validate.validate(MANIFESTS["rayjob", "ConfigMap"], KUBERNETES, strict=True)


def test_a_misspelt_field_of_a_pod_or_a_group_would_be_refused() -> None:
    cluster = json.loads(json.dumps(CLUSTERS["raycluster"]))
    cluster["workerGroupSpecs"][0]["template"]["spec"]["tolerances"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(as_pod(cluster["workerGroupSpecs"][0]["template"]), KUBERNETES, strict=True)
    cluster["workerGroupSpecs"][0]["maxReplica"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(cluster, CLUSTER)


@pytest.mark.parametrize("name", CLUSTERS)
def test_the_head_does_no_work_and_stays_on_nodes_that_are_not_taken_away(name: str) -> None:
    head = CLUSTERS[name]["headGroupSpec"]
    assert head["rayStartParams"]["num-cpus"] == "0"
    assert head["template"]["spec"]["nodeSelector"]["karpenter.sh/capacity-type"] == "on-demand"


@pytest.mark.parametrize("name", CLUSTERS)
def test_every_pod_has_time_to_drain_no_rights_and_secrets_by_reference(name: str) -> None:
    cluster = CLUSTERS[name]
    assert cluster["rayVersion"] == ray.__version__
    assert cluster["authOptions"] == {"mode": "token"}
    for group in groups(cluster):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        environment = {each["name"]: each["value"] for each in container["env"]}
        drain = float(environment["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"])
        assert drain + 15 <= pod["terminationGracePeriodSeconds"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert set(container["resources"]["limits"]) >= {"cpu", "memory", "ephemeral-storage"}
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
        assert Path(environment["AWS_SHARED_CREDENTIALS_FILE"]).parent == Path(mounts["s3"])
        assert not {"AWS_SECRET_ACCESS_KEY", "RAY_AUTH_TOKEN"} & set(environment)


@pytest.mark.parametrize("name", CLUSTERS)
def test_groups_say_what_they_hold_as_ray_start_reads_it(name: str) -> None:
    for group in CLUSTERS[name]["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        pod = group["template"]["spec"]
        limits = pod["containers"][0]["resources"]["limits"]
        # KubeRay puts the value into a shell's command line, which takes the quotes off.
        (written,) = shlex.split(group["rayStartParams"].get("resources", "{}"))
        resources = json.loads(written)
        spot = pod["nodeSelector"]["karpenter.sh/capacity-type"] == "spot"
        assert ("spot" in resources) == spot
        assert any(each["key"] == "triptych/spot" for each in pod.get("tolerations", [])) == spot
        has_gpu = "nvidia.com/gpu" in limits
        assert ("accelerator_type:H100" in resources) == has_gpu
        assert any(each["key"] == "nvidia.com/gpu" for each in pod.get("tolerations", [])) == has_gpu


def test_the_jobs_spec_and_command_are_ones_that_triptych_takes(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    text = MANIFESTS["rayjob", "ConfigMap"]["data"]["job.yaml"].replace("/data/pictures", str(tmp_path / "pictures"))
    (tmp_path / "job.yaml").write_text(text)
    assert load_spec(tmp_path / "job.yaml").ray.address == "auto"

    program, *arguments = shlex.split(MANIFESTS["rayjob", "RayJob"]["spec"]["entrypoint"])
    assert program == "triptych"
    result = CliRunner().invoke(app, [*arguments, "--help"])
    assert result.exit_code == 0
    for option in (argument for argument in arguments if argument.startswith("--")):
        assert option in result.output
