"""Croissant 1.1 metadata with the fields for responsible AI (MLCommons, croissant/1.1 and croissant/RAI/1.0)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from manifests.records import ROLES

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}

_TYPES: Mapping[pa.DataType, str] = {
    pa.string(): "sc:Text",
    pa.int64(): "sc:Integer",
    pa.float64(): "sc:Float",
    pa.bool_(): "sc:Boolean",
}


@dataclass(frozen=True)
class About:
    """What the metadata says of a data set as a whole."""

    name: str
    description: str
    version: str
    licences: Sequence[str]
    creators: Sequence[str]
    published: str
    responsible: Mapping[str, Any]
    """Properties of croissant/RAI by their names without prefix, e.g. `dataCollection`."""


def croissant(about: About, columns: pa.Schema, *, images: bool, files: str, encoding: str) -> dict[str, Any]:
    """Return the metadata as JSON-LD: one set of files, and one record set over it.

    `files` is the glob of the data files below the folder, `encoding` their media type.
    """
    fields = [_image_field(role) for role in ROLES] if images else []
    fields += [_field(field.name, _TYPES[field.type], field.name) for field in columns]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": about.name,
        "description": about.description,
        "version": about.version,
        "datePublished": about.published,
        "citeAs": f"{about.name}, version {about.version}, curated with Triptych",
        "license": [_licence_url(spdx) for spdx in about.licences],
        "creator": [{"@type": "sc:Organization", "name": name} for name in about.creators],
        **{f"rai:{name}": value for name, value in about.responsible.items()},
        "distribution": [
            {
                "@type": "cr:FileSet",
                "@id": "files",
                "name": "files",
                "description": "The data files of this folder.",
                "encodingFormat": encoding,
                "includes": files,
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "triplets",
                "name": "triplets",
                "description": "One record for each accepted triplet.",
                "key": {"@id": "triplets/candidate_id"},
                "field": fields,
            }
        ],
    }


def _image_field(role: str) -> dict[str, Any]:
    field = _field(role, "sc:ImageObject", role)
    field["source"]["transform"] = {"jsonPath": "bytes"}
    return field


def _field(name: str, kind: str, column: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"triplets/{name}",
        "name": name,
        "dataType": kind,
        "source": {"fileSet": {"@id": "files"}, "extract": {"column": column}},
    }


def _licence_url(spdx: str) -> str:
    return spdx if spdx == "unknown" else f"https://spdx.org/licenses/{spdx}.html"
