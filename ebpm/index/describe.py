"""An entry out of a package and its tool.yaml: everything that can be read off the object is."""

from __future__ import annotations

from typing import Any

from ebpm.errors import InvalidToolFile
from ebpm.index.entry import IndexEntry
from ebpm.index.toolfile import ToolFile
from ebpm.oci.descriptor import Descriptor
from ebpm.package.capabilities import capabilities_of
from ebpm.package.kernels import Version
from ebpm.package.model import Package
from ebpm.package.summary import to_json, version_text


def describe_tool(
    package: Package, tool: ToolFile, root: Descriptor, platforms: tuple[str, ...]
) -> IndexEntry:
    """Make the entry of a tool.

    Args:
        package: with its objects; what they can do is read off the first.
        tool: what its author says.
        root: the package's artifact.
        platforms: that it is for, as OCI writes them.

    Raises:
        InvalidToolFile: it names another tool, or an older kernel than the object needs.
    """
    if tool.name != package.name:
        raise InvalidToolFile(
            f"tool.yaml is of {tool.name!r}, the source of {package.name!r}",
            hint="name both the same",
        )
    capabilities = capabilities_of(package.objects[0].data)
    return IndexEntry(
        name=tool.name,
        summary=tool.summary,
        digest=root.digest,
        size=root.size,
        version=package.version or "",
        groups=tool.groups,
        keywords=tool.keywords,
        license=tool.license,
        source=tool.source or "",
        maintainers=tool.maintainers,
        kernel=_kernel(tool, capabilities.since),
        options=tool.options,
        hooks=tuple(dict.fromkeys(one.section for one in capabilities.programs)),
        platforms=platforms,
        parameters=tuple(_parameters(package)),
        reports=tuple(_reports(package)),
        capabilities=to_json(capabilities),
    )


def _kernel(tool: ToolFile, since: Version | None) -> str:
    """Take the newer of what the author says and what the object needs."""
    said: Version = (0, 0)
    if tool.kernel:
        major, _, minor = tool.kernel.partition(".")
        said = int(major), int(minor)
    newest = max(said, since or (0, 0))
    if said < newest and tool.kernel:
        raise InvalidToolFile(
            f"{tool.name}: tool.yaml says kernel {tool.kernel}, the object needs "
            f"{version_text(newest)}",
            hint="`ebpm info` tells what needs it",
        )
    return version_text(newest) if newest > (0, 0) else ""


def _parameters(package: Package) -> list[dict[str, Any]]:
    found = []
    for one in package.parameters:
        option = one.option
        found.append(
            {
                "name": one.name,
                "type": one.type,
                "long": (option and option.long) or one.name,
                "short": (option and option.short) or "",
                "default": one.value
                if option is None or option.default is None
                else option.default,
                "help": (option and option.help) or one.description or "",
            }
        )
    return found + _table_options(package)


def _table_options(package: Package) -> list[dict[str, Any]]:
    """List the options by which a sampled table is sorted and limited."""
    found = []
    for one in package.maps:
        for key, given in one.sample.options.items() if one.sample else ():
            option: dict[str, Any] = given if isinstance(given, dict) else {}
            sort = key == "sort"
            assert one.sample is not None
            text = "Columns that rows are sorted by" if sort else "Rows of each reading to print"
            found.append(
                {
                    "name": "sort" if sort else "rows",
                    "type": "text" if sort else "unsigned int",
                    "long": option.get("long") or ("sort" if sort else "rows"),
                    "short": option.get("short") or "",
                    "default": one.sample.sort if sort else one.sample.limit,
                    "help": option.get("help") or text,
                }
            )
    return found


def _reports(package: Package) -> list[dict[str, Any]]:
    return [
        {
            "name": export.name,
            "fields": [
                {"name": one.name, "type": one.type, "description": one.description or ""}
                for one in export.members
            ],
        }
        for export in package.exports
    ]
