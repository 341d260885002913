"""A package's bill of materials, as SPDX 2.3 in JSON: the object, its sources, its compiler.

Source: the SPDX specification 2.3, clauses 6 to 11. The same package gives the same bytes.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from ebpm.package.model import Package

_NONE, _NO = "NOASSERTION", re.compile(r"[^A-Za-z0-9.-]")


def write_spdx(package: Package, *, tool: str, created: int = 0) -> str:
    """Write the bill of materials of a package.

    Args:
        package: with its objects.
        tool: what writes it: "ebpm-0.1.0".
        created: seconds since the epoch.
    """
    digest = package.objects[0].digest
    moment = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    root = _identifier("Package", package.name)
    packages = [
        _package(root, package.name, package.version or _NONE, package.license)
        | {"checksums": [_checksum(str(digest))], "primaryPackagePurpose": "APPLICATION"}
    ]
    files: list[dict[str, Any]] = []
    relations = [_relation("SPDXRef-DOCUMENT", "DESCRIBES", root)]
    if package.build is not None:
        compiler = _identifier("Package", "compiler")
        name, _, version = package.build.compiler.partition(" ")
        packages.append(_package(compiler, name, version or _NONE, None))
        relations.append(_relation(compiler, "BUILD_TOOL_OF", root))
        for path, known in sorted(package.build.inputs.items()):
            identifier = _identifier("File", path)
            files.append(
                {
                    "SPDXID": identifier,
                    "fileName": f"./{path}",
                    "checksums": [_checksum(known)],
                    "copyrightText": _NONE,
                    "licenseConcluded": _NONE,
                }
            )
            relations.append(_relation(root, "GENERATED_FROM", identifier))
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": package.name,
        "documentNamespace": f"urn:ebpm:spdx:{package.name}:{digest}",
        "creationInfo": {"created": moment, "creators": [f"Tool: {tool}"]},
        "packages": packages,
        "files": files,
        "relationships": relations,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _identifier(kind: str, name: str) -> str:
    return f"SPDXRef-{kind}-{_NO.sub('-', name)}"


def _package(identifier: str, name: str, version: str, license_text: str | None) -> dict[str, Any]:
    comment = {"licenseComments": f"The object declares: {license_text}"} if license_text else {}
    return {
        "SPDXID": identifier,
        "name": name,
        "versionInfo": version,
        "downloadLocation": _NONE,
        "filesAnalyzed": False,
        "licenseConcluded": _NONE,
        "licenseDeclared": _NONE,
        "copyrightText": _NONE,
        **comment,
    }


def _checksum(digest: str) -> dict[str, str]:
    algorithm, _, value = digest.partition(":")
    return {"algorithm": algorithm.upper(), "checksumValue": value}


def _relation(one: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
