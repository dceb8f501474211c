"""The recipes match the schemas of the tools that read them; nothing is started."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import yaml

REPOSITORY = Path(__file__).parents[2]
CLUSTER = REPOSITORY / "cluster"
RECIPES = sorted(path for path in CLUSTER.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc"))

# Fields of ray.io/v1 in the custom resource definitions of KubeRay 1.4.
GROUP = {"rayStartParams", "template", "serviceType", "enableIngress", "headService", "resources", "labels"}
WORKERS = GROUP | {
    "groupName", "replicas", "minReplicas", "maxReplicas", "idleTimeoutSeconds", "suspend", "numOfHosts", "scaleStrategy",
}  # fmt: skip
SPEC = {
    "rayVersion", "enableInTreeAutoscaling", "autoscalerOptions", "headGroupSpec", "workerGroupSpecs", "suspend", "managedBy",
    "headServiceAnnotations", "gcsFaultToleranceOptions", "authOptions", "upgradeStrategy",
}  # fmt: skip
JOB = {
    "entrypoint", "runtimeEnvYAML", "jobId", "submissionMode", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "suspend",
    "activeDeadlineSeconds", "backoffLimit", "rayClusterSpec", "clusterSelector", "submitterPodTemplate", "submitterConfig",
    "entrypointNumCpus", "entrypointNumGpus", "entrypointResources", "metadata", "managedBy", "deletionStrategy",
}  # fmt: skip


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CLUSTER / name).read_text())
    return found


@pytest.mark.parametrize("name", ["aws", "gcp", "on_prem"])
def test_cluster_launcher(name: str) -> None:
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    config = read(f"ray/{name}.yaml")
    jsonschema.validate(config, schema)
    commands = config["head_start_ray_commands"] + config["worker_start_ray_commands"]
    starts = [command for command in commands if "ray start" in command]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in command for command in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    if "available_node_types" in config:
        assert config["head_node_type"] in config["available_node_types"]
        workers = sum(kind.get("max_workers", 0) for kind in config["available_node_types"].values())
        assert workers <= config["max_workers"]


def check_cluster_spec(spec: dict[str, Any]) -> None:
    assert set(spec) <= SPEC
    assert set(spec["headGroupSpec"]) <= GROUP
    installed = tuple(map(int, ray.__version__.split(".")[:2]))
    assert tuple(map(int, spec["rayVersion"].split(".")[:2])) == installed
    assert spec["headGroupSpec"]["rayStartParams"]["dashboard-host"] == "127.0.0.1"
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    for group in spec["workerGroupSpecs"]:
        assert set(group) <= WORKERS
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in groups:
        pod = group["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            environment = {entry["name"]: entry for entry in container["env"]}
            assert environment["RAY_AUTH_MODE"]["value"] == "token"
            assert "secretKeyRef" in environment["RAY_AUTH_TOKEN"]["valueFrom"]


def test_kuberay_cluster() -> None:
    made = read("kuberay/raycluster.yaml")
    assert (made["apiVersion"], made["kind"]) == ("ray.io/v1", "RayCluster")
    check_cluster_spec(made["spec"])


def test_kuberay_job_is_the_same_cluster_with_a_command() -> None:
    made = read("kuberay/rayjob.yaml")
    assert (made["apiVersion"], made["kind"]) == ("ray.io/v1", "RayJob")
    assert set(made["spec"]) <= JOB
    assert made["spec"]["submissionMode"] in ("K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode")
    assert made["spec"]["rayClusterSpec"] == read("kuberay/raycluster.yaml")["spec"]
    check_cluster_spec(made["spec"]["rayClusterSpec"])
    assert made["spec"]["entrypoint"].startswith("deep3dmap benchmark ")


def test_slurm_script() -> None:
    script = CLUSTER / "slurm" / "deep3dmap.sbatch"
    subprocess.run(["bash", "-n", str(script)], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", str(script)], check=True)
    assert "RAY_AUTH_MODE=token" in script.read_text()
    assert "--dashboard-host=127.0.0.1" in script.read_text()


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_docker_files_name_what_there_is(kind: str) -> None:
    text = (CLUSTER / "docker" / f"Dockerfile.{kind}").read_text()
    instructions = re.findall(r"^([A-Z]+) ", text, re.MULTILINE)
    assert set(instructions) <= {"FROM", "RUN", "ARG", "COPY", "ENV", "USER", "WORKDIR", "CMD"}
    assert "RAY_AUTH_MODE=token" in text
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (named,) = re.findall(r"/src\[([\w,]+)\]", text)
    assert set(named.split(",")) <= set(extras)
    defined = set(re.findall(r"-C cmake\.define\.(\w+)=", text))
    assert defined == ({"DEEP3DMAP_CUDA", "CMAKE_CUDA_ARCHITECTURES"} if kind == "cuda" else set())
    assert all(name in (REPOSITORY / "csrc" / "CMakeLists.txt").read_text() for name in defined)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(CLUSTER)))
def test_no_recipe_holds_a_secret_or_an_open_server(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"\b[0-9a-f]{32,}\b|AKIA[0-9A-Z]{16}|BEGIN [A-Z ]*PRIVATE KEY", text)
    assert "0.0.0.0" not in text
