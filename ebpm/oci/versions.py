"""Tags that are versions: which they are, how they sort, which of them a range allows.

Versions and ranges are those of PEP 440 as :mod:`packaging` has them: ``1.2``, ``v1.2.3``,
``1.2.3-rc1``; ``~=1.2``, ``>=1.0,<2``, ``==1.*``. A tag without a dot (``latest``, ``1``,
``20240101``) is a name and no version.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ebpm.errors import InvalidReference

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

OPERATORS = ("~=", "==", "!=", "<=", ">=", "<", ">")


def version_of(tag: str) -> Version | None:
    """Read a tag as a version; None if it is none."""
    from packaging.version import Version

    if "." not in tag or not tag.lower().removeprefix("v")[:1].isdigit():
        return None
    try:
        return Version(tag)
    except ValueError:  # InvalidVersion is one; so is what int() makes of 5000 digits
        return None


def read_range(text: str) -> SpecifierSet:
    """Read a range of versions; ``*`` and nothing allow all.

    Raises:
        InvalidReference: it is none.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet("" if text.strip() == "*" else text)
    except InvalidSpecifier:
        raise InvalidReference(
            f"{text!r} is no range of versions", hint="write it as ~=1.2, >=1.0,<2 or ==1.*"
        ) from None


def split_range(text: str) -> tuple[str, str]:
    """Take ``name~=1.2`` apart into the name and the range, which is empty where there is none."""
    places = [at for at in (text.find(one) for one in OPERATORS) if at > 0]
    return (text[: min(places)], text[min(places) :]) if places else (text, "")


def allowed(tags: Iterable[str], versions: str) -> list[str]:
    """List the tags that a range allows, the newest first.

    Pre-releases count where the range names one, or where there is nothing else (PEP 440). Of two
    tags of the same version, the longer spelling comes first: it is the one that moves less.
    """
    found = {tag: version for tag in tags if (version := version_of(tag))}
    specifiers = read_range(versions)
    kept = set(specifiers.filter(found.values()))
    chosen = [tag for tag, version in found.items() if version in kept]
    return sorted(chosen, key=lambda tag: (found[tag], len(tag), tag), reverse=True)


def sort_tags(tags: Iterable[str]) -> list[str]:
    """Sort tags: names by their letters, then versions as versions, the newest last."""
    listed = list(tags)
    versions = {tag: version for tag in listed if (version := version_of(tag))}
    names = sorted(tag for tag in listed if tag not in versions)
    return names + sorted(versions, key=lambda tag: (versions[tag], tag))
