"""Writing an export: a folder that appears when it is whole, and goes on where it was cut off."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import yaml

from manifests.audit.attribution import attribution
from manifests.audit.ledger import AuditError, Ledger
from manifests.export.card import card
from manifests.export.credentials import Credentials
from manifests.export.croissant import About, croissant
from manifests.export.images import read_images
from manifests.export.marks import marked, source_type
from manifests.export.parquet import schema_with_images, write_parquet
from manifests.export.selection import Selection
from manifests.licence_policy import LicencePolicy, Part
from manifests.records import ROLES

Form = Literal["parquet", "csv", "table"]
"""`parquet` holds the images, and loads with `datasets`; `csv` and `table` (Parquet) hold everything but the images."""

ROWS_A_FILE = 1000
_PLAN, _RECEIPT = "export-plan.json", "export.json"
_ENCODINGS: Mapping[Form, tuple[str, str]] = {
    "parquet": ("data/*.parquet", "application/x-parquet"),
    "table": ("data/*.parquet", "application/x-parquet"),
    "csv": ("data/*.csv", "text/csv"),
}

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Exported:
    """What an export came to."""

    folder: Path
    rows: int
    files: int
    bytes: int
    version: int
    head: str
    refused: Mapping[str, int]
    """Triplets that the licence policy kept out, by reason; one may have several."""
    apart: int
    """Triplets that the licence policy puts into the other part."""


@dataclass(frozen=True)
class Marking:
    """How images that were drawn or painted say so: by IPTC's mark, by signed content credentials, both or neither."""

    mark: bool
    credentials: Credentials | None


def export(
    ledger: Ledger,
    out: Path,
    *,
    form: Form = "parquet",
    where: str | None = None,
    name: str | None = None,
    mark: bool = False,
    credentials: Credentials | None = None,
    licences: LicencePolicy | None = None,
    licence_part: Part = "main",
    without: Sequence[str] = (),
    progress: Progress = lambda _done, _all: None,
) -> Exported:
    """Write accepted triplets of a store's version into a folder, with card, attributions and Croissant metadata.

    The folder is `<out>.part` until it is whole; the same call goes on with one that was cut off. `mark` puts IPTC's
    digital source type into images that were drawn or painted, which changes their bytes and none of their pixels;
    `credentials` sign the same with a C2PA manifest.
    A licence policy keeps out what it refuses, and what belongs into the other part; both are counted. So are the
    candidates named in `without`, which have images of an evaluation set.
    Raises AuditError where `out` exists, or a part of another export lies in its place.
    """
    if out.exists():
        raise AuditError(f"{out} exists already; name another folder, or remove it")
    selection = Selection(ledger, where, licences, licence_part, without)
    if not len(selection):
        kept_out = "".join(f"; {reason}: {count:,}" for reason, count in selection.refused.items())
        raise AuditError(f"no accepted triplet is left to export; check --where and --licences{kept_out}")
    name = name or Path(ledger.root).name or "triplets"
    head = ledger.commits[-1].digest if ledger.commits else ""
    policy = None if licences is None else [licences.model_dump(mode="json"), licence_part]
    plan: dict[str, Any] = {
        "root": ledger.root,
        "licence_policy": policy,
        "version": ledger.version,
        "head": head,
        "where": where,
        "form": form,
        "mark": mark,
        **({"c2pa": True} if credentials else {}),
        **({"without": sorted(without)} if without else {}),
    }
    part = _started(out, plan)
    files, splits = _write_data(
        ledger, selection, part, form=form, marking=Marking(mark, credentials), progress=progress
    )
    columns = selection.without_images().schema
    about = _about(selection, ledger, name, head)
    glob, encoding = _ENCODINGS[form]
    metadata = croissant(about, columns, images=form == "parquet", files=glob, encoding=encoding)
    (part / "croissant.json").write_text(json.dumps(metadata, indent=1, ensure_ascii=False))
    origin = {"store version": ledger.version, "head of the chain of commits": head, "filter": where or "all accepted"}
    (part / "README.md").write_text(card(selection, name=name, about=origin, files=splits))
    (part / "ATTRIBUTION.md").write_text("".join(attribution(ledger)))
    listed = [{"file": str(path.relative_to(part)), "rows": rows, **_facts(path)} for path, rows in files]
    if sum(each["rows"] for each in listed) != len(selection):
        raise AuditError("the files do not hold as many rows as were selected; remove the part and start again")
    left_out = {"refused": selection.refused, "in_the_other_part": selection.apart}
    receipt = {**plan, **left_out, "rows": len(selection), "files": listed, "written": datetime.now(UTC).isoformat()}
    (part / _RECEIPT).write_text(json.dumps(receipt, indent=1))
    (part / _PLAN).unlink()
    part.replace(out)
    size = sum(each["bytes"] for each in listed)
    return Exported(out, len(selection), len(listed), size, ledger.version, head, selection.refused, selection.apart)


def _started(out: Path, plan: Mapping[str, Any]) -> Path:
    """Return the folder that becomes `out`, new or begun earlier with the same plan."""
    part = out.with_name(f"{out.name}.part")
    stated = part / _PLAN
    if not part.exists():
        (part / "data").mkdir(parents=True)
        stated.write_text(json.dumps(plan))
    elif not stated.is_file() or json.loads(stated.read_text()) != plan:
        raise AuditError(f"{part} holds a part of another export; remove it, or name another folder")
    return part


def _write_data(
    ledger: Ledger, selection: Selection, part: Path, *, form: Form, marking: Marking, progress: Progress
) -> tuple[list[tuple[Path, int]], dict[str, str]]:
    """Write the data files; return each with its rows, and the glob of each split."""
    files: list[tuple[Path, int]] = []
    globs: dict[str, str] = {}
    columns = selection.without_images()
    done = 0
    ending = "csv" if form == "csv" else "parquet"
    for split in selection.splits():
        globs[split] = f"data/{split}-*.{ending}"
        if form != "parquet":
            path = part / "data" / f"{split}-00000.{ending}"
            own = columns.filter(pc.equal(columns["split"], split))
            if form == "csv":
                pyarrow.csv.write_csv(own, path)
            else:
                pq.write_table(own, path, compression="zstd")
            files.append((path, own.num_rows))
            continue
        schema = schema_with_images(columns.schema)
        for number, rows in enumerate(selection.rows(split, ROWS_A_FILE)):
            path = part / "data" / f"{split}-{number:05}.parquet"
            if not path.exists():  # a file of this name is whole, and its plan is ours
                images = [_images(ledger, row, marking) for row in rows]
                kept = [{key: row[key] for key in columns.schema.names} for row in rows]
                write_parquet(path, schema, kept, images)
            files.append((path, len(rows)))
            done += len(rows)
            progress(done, len(selection))
    return files, globs


def _images(ledger: Ledger, row: Mapping[str, Any], marking: Marking) -> dict[str, tuple[str, bytes]]:
    images = read_images(ledger, row)
    found = {}
    for role, (extension, data) in images.items():
        kind = source_type(row[f"{role}_source"] or "", row[f"{role}_treatment"])
        if kind is not None and marking.mark:
            data = marked(data, kind)
        if kind is not None and marking.credentials is not None:
            lineage = {"candidate_id": row["candidate_id"], "role": role, "asset_id": row[f"{role}_id"]}
            data = marking.credentials.signed(data, extension, kind, lineage)
        found[role] = extension, data
    return found


def _about(selection: Selection, ledger: Ledger, name: str, head: str) -> About:
    table = selection.without_images()
    authors = sorted({author for role in ROLES for author in table[f"{role}_author"].unique().to_pylist() if author})
    jobs = ledger.jobs
    spec = yaml.safe_load(jobs[-1]["spec"]) if jobs else {}
    sources = ", ".join(
        sorted({value for role in ROLES for value in table[f"{role}_source"].unique().to_pylist() if value})
    )
    rules = json.dumps(spec.get("policy", {}).get("rules", []))
    return About(
        name=name,
        description="Triplets of content reference, style reference and stylized target, curated with Triptych.",
        version=f"{ledger.version}.0.0",
        licences=selection.licences(),
        creators=authors or ["unknown"],
        published=datetime.now(UTC).date().isoformat(),
        responsible={
            "dataCollection": f"Images of the sources {sources}; references retrieved from them or drawn by experts.",
            "dataCollectionType": ["Existing datasets", "Machine generated"],
            "dataPreprocessingProtocol": [
                f"Longer side {spec.get('image', {}).get('size', 'unknown')} pixels; near repetitions left out."
            ],
            "machineAnnotationTools": [f"Triptych; every score is a column, the policy is {rules}"],
            "dataBiases": [
                "Subjects and styles are those of the sources, in their shares; `triptych audit balance` tells them."
            ],
            "dataLimitations": ["Style and subject are judged by embeddings, which err; see the scores of each row."],
            "dataUseCases": ["Training and evaluation of style- and subject-driven image generation."],
            "personalSensitiveInformation": ["None was sought; sources that show people may hold some."],
            "dataReleaseMaintenancePlan": f"Version {ledger.version} of the store, chain of commits at {head}.",
        },
    )


def _facts(path: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            digest.update(chunk)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}
