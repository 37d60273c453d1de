"""Parts of croissant.json: files, the members of all shards, and their records.

MLCommons' Croissant 1.0 (https://docs.mlcommons.org/croissant/docs/croissant-spec.html) has no type
for arrays, so records give the bytes of .npy and .npz files, for numpy.load.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from datagen.common.record import Line

MEDIA_TYPES = {
    "json": "application/json",
    "md": "text/markdown",
    "npz": "application/x-npz",
    "tar": "application/x-tar",
}
"""Media types of the shards and the files beside them, by suffix."""
KEY = r"(\d+_\d+)\."
"""The clip's key in a member's name: 000012_0034.flow.npy."""


def file(path: str, line: Line) -> Line:
    """Return a cr:FileObject for a file, given its `bytes` and `sha256`."""
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path,
        "contentUrl": path,
        "contentSize": f"{line['bytes']} B",
        "encodingFormat": MEDIA_TYPES[path.rpartition(".")[2]],
        "sha256": line["sha256"],
    }


def file_sets(
    members: Mapping[str, tuple[str, str]], shards: Iterable[str], prefix: str = ""
) -> list[Line]:
    """Return a cr:FileSet for each member that every record has.

    Args:
        members: media type and description by the member's ending (flow.npy and so on).
        shards: paths of the tars; if empty, no sets are returned.
        prefix: distinguishes the sets from those of another split.
    """
    tars = [{"@id": path} for path in shards]
    return [
        {
            "@type": "cr:FileSet",
            "@id": prefix + member,
            "name": prefix + member,
            "description": text,
            "containedIn": tars,
            "encodingFormat": kind,
            "includes": f"*.{member}",
        }
        for member, (kind, text) in members.items()
        if tars
    ]


def record_sets(members: Mapping[str, tuple[str, str]], prefix: str = "") -> list[Line]:
    """Return a cr:RecordSet for each member: the clip's key and the member's content."""
    return [_record_set(prefix, member, kind, text) for member, (kind, text) in members.items()]


def _record_set(prefix: str, member: str, kind: str, text: str) -> Line:
    name = prefix + member.partition(".")[0]
    files = {"fileSet": {"@id": prefix + member}}
    content = "sc:ImageObject" if kind.startswith("image/") else "sc:Text"
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": text,
        "key": {"@id": f"{name}/key"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/key",
                "name": "key",
                "description": "the clip's key: shard number and number within the shard",
                "dataType": "sc:Text",
                "source": files
                | {"extract": {"fileProperty": "filename"}, "transform": {"regex": KEY}},
            },
            {
                "@type": "cr:Field",
                "@id": f"{name}/content",
                "name": "content",
                "description": f"the content of {member}",
                "dataType": content,
                "source": files | {"extract": {"fileProperty": "content"}},
            },
        ],
    }


CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
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
"""Croissant 1.0's own JSON-LD context, which defines its terms."""
