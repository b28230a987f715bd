"""What each stage of a job may use, and on which cluster it does."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

_COUNTED = {"CPU": "cpus", "GPU": "gpus", "memory": "memory_mb", "object_store_memory": "ray.object_store_limit_mb"}
"""What Ray counts by itself has keys of its own."""

_CLIENT = "ray://"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StageSpec(_Part):
    """What one stage of the graph may use."""

    cpus: float = Field(default=0.25, gt=0, description="CPU cores of one worker, as Ray counts them.")
    gpus: float = Field(default=0.0, ge=0, description="GPUs of one worker; fractions share one.")
    memory_mb: int | None = Field(
        default=None, ge=1, description="Memory of one worker, in MB; not counted unless given."
    )
    resources: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict,
        description="What else of a node one worker takes, by the node's own names: `accelerator_type:H100`, `spot`.",
    )
    batch: int = Field(default=32, ge=1, le=4096, description="Rows in one call.")
    workers: tuple[int, int] = Field(default=(1, 1), description="Fewest and most workers.")
    in_flight: int | None = Field(
        default=None, ge=1, le=64, description="Calls that are sent to a worker ahead; Ray Data's choice unless given."
    )
    retries: int | None = Field(
        default=None, ge=0, description="How often a call is sent again whose worker died at it; for ever unless given."
    )

    @field_validator("workers")
    @classmethod
    def _ordered(cls, workers: tuple[int, int]) -> tuple[int, int]:
        if not 1 <= workers[0] <= workers[1]:
            raise ValueError(f"workers is [fewest, most] with 1 <= fewest <= most, got {list(workers)}")
        return workers

    @field_validator("gpus")
    @classmethod
    def _whole_above_one(cls, gpus: float) -> float:
        if gpus > 1 and gpus != int(gpus):
            raise ValueError(f"a worker takes a share of one GPU or several whole ones, got {gpus:g}")
        return gpus

    @field_validator("resources")
    @classmethod
    def _custom(cls, resources: dict[str, float]) -> dict[str, float]:
        for name, amount in resources.items():
            if name in _COUNTED:
                raise ValueError(f"{name} is counted by {_COUNTED[name]}; set that instead")
            if amount > 1 and amount != int(amount):
                raise ValueError(f"a worker takes a share of one {name} or several whole ones, got {amount:g}")
        return resources


class StagesSpec(_Part):
    """Resources of each stage."""

    ingest: StageSpec = StageSpec(cpus=1.0, workers=(1, 2))
    load: StageSpec = StageSpec()
    caption: StageSpec = StageSpec()
    stylize: StageSpec = StageSpec()
    destylize: StageSpec = StageSpec()
    score: StageSpec = StageSpec()
    judge: StageSpec = StageSpec()
    pack: StageSpec = StageSpec()


class RaySpec(_Part):
    """Where the job runs."""

    address: str | None = Field(default=None, description="A cluster to connect to; a local one unless given.")
    cpus: int | None = Field(default=None, ge=1, description="Cores of the local instance; all unless given.")
    object_store_mb: int = Field(default=400, ge=80, description="Object store of the local instance, in MB.")
    object_store_limit_mb: int | None = Field(
        default=None,
        ge=1,
        description="What the graph may hold in the cluster's object stores; half of them unless given.",
    )
    wait_seconds: int = Field(
        default=0, ge=0, description="How long to wait for nodes that the cluster lacks, and asks its autoscaler for."
    )
    store_patience_seconds: int = Field(
        default=300, ge=0, description="How long a store that does not answer is tried again before the job ends."
    )

    @field_validator("address")
    @classmethod
    def _a_cluster(cls, address: str | None) -> str | None:
        if address is not None and address.startswith(_CLIENT):
            raise ValueError(
                "a job does not run through Ray Client; send it to the cluster: "
                "`triptych curate submit SPEC --address http://HEAD:8265`"
            )
        return address
