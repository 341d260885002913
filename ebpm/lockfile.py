"""``ebpm.lock``: the digests that the tools of a folder are pinned to. On the path of ``ebpm run``.

JSON, so that a run reads it without a parser of its own. It decides what is loaded into the kernel:
so it counts only if it belongs to whoever runs ebpm (or to root, or to the user behind sudo) and
nobody else can write it; a folder like /tmp may hold anybody's.
"""

from __future__ import annotations

import os
import stat

from ebpm.errors import InvalidLock
from ebpm.plainjson import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME = "ebpm.lock"
VERSION = 1
_LIMIT = 16 << 20


def pinned(name: str, owners: tuple[int, ...], path: str = NAME) -> str | None:
    """Find the reference that a tool is pinned to: ``HOST/NAME@DIGEST``.

    Args:
        name: of the tool, without a tag.
        owners: users whose lock is believed.
        path: the file.

    Returns:
        None where there is no lock, or it does not have the tool.

    Raises:
        InvalidLock: it is damaged, or somebody else may have written it.
    """
    data = read(path, owners)
    tool = data["tools"].get(name) if data else None
    return None if tool is None else tool["reference"]


def read(path: str, owners: tuple[int, ...] = ()) -> dict[str, Any] | None:
    """Read a lock; None if there is none.

    Args:
        path: the file.
        owners: users whose lock is believed; anybody's if there are none.

    Raises:
        InvalidLock: as for :func:`pinned`.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidLock(f"cannot read {path}: {error.strerror}") from None
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidLock(f"{path} is not a file")
        if owners:
            _check_owner(path, status, owners)
        raw = file.read(_LIMIT + 1)
    try:
        return _checked(loads(raw), path)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidLock(f"{path} is damaged: {error}") from None


def _check_owner(path: str, status: os.stat_result, owners: tuple[int, ...]) -> None:
    if status.st_uid not in owners:
        raise InvalidLock(
            f"{path} belongs to user {status.st_uid}: it does not decide what is run",
            hint="run it in another folder, or name the tool with its tag",
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise InvalidLock(f"others can write {path}", hint=f"chmod go-w {path}")


def _checked(data: Any, path: str) -> dict[str, Any]:  # noqa: ANN401  # JSON
    if data["schemaVersion"] != VERSION:
        raise InvalidLock(f"{path} was written by a later ebpm", hint="upgrade ebpm")
    for name, tool in data["tools"].items():
        reference, digest = tool["reference"], tool["digest"]
        if not name or not reference.endswith(f"@{digest}") or not digest.startswith("sha"):
            raise ValueError(f"the tool {name!r} has no reference that ends in its digest")
        for key in ("wanted", "tag"):
            if not isinstance(tool[key], str):
                raise TypeError(f"{key} of the tool {name!r} is not text")
        if not isinstance(tool["platforms"], dict):
            raise TypeError(f"the platforms of the tool {name!r} are no object")
    if not isinstance(data["platforms"], list):
        raise TypeError("its platforms are no list")
    return data  # type: ignore[no-any-return]
