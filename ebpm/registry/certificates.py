"""Whom we trust in TLS, and who we are: containers-certs.d(5), as podman and docker read it.

``FOLDER/HOST[:PORT]/*.crt`` are authorities for that host, instead of the usual ones; ``*.cert``
with a ``*.key`` of the same name is our certificate there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from ebpm.errors import InvalidConfig

Identity: TypeAlias = tuple[str, str]  # the files of a certificate and of its key


class Certificates:
    """Finds the files for a host; each host is looked up once.

    Args:
        ca_file: authorities for all hosts that have none of their own; None for the usual ones.
        folders: certs.d folders; the first that has one for a host counts.
    """

    def __init__(self, ca_file: str | None, folders: Sequence[str] = ()) -> None:
        self._ca_file = ca_file
        self._folders = folders
        self._known: dict[str, tuple[str | bool, Identity | None]] = {}

    def of(self, host: str) -> tuple[str | bool, Identity | None]:
        """Find the file of authorities (True: the usual ones) and our certificate for a host.

        Args:
            host: host[:port], in lower case.

        Raises:
            InvalidConfig: a file that should be there is not.
        """
        if host not in self._known:
            self._known[host] = self._find(host)
        return self._known[host]

    def _find(self, host: str) -> tuple[str | bool, Identity | None]:
        authorities, identity = self._in_folders(host)
        if authorities is None and self._ca_file:
            if not Path(self._ca_file).exists():
                raise InvalidConfig(f"the file of certificates, {self._ca_file}, does not exist")
            authorities = self._ca_file
        return authorities or True, identity

    def _in_folders(self, host: str) -> tuple[str | None, Identity | None]:
        if "/" in host or host in ("", ".", ".."):
            return None, None
        for folder in self._folders:
            place = Path(folder, host)
            try:
                names = sorted(one.name for one in place.iterdir())
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise InvalidConfig(f"cannot read {place}: {error.strerror}") from None
            return _read_folder(place, names)
        return None, None


def _read_folder(place: Path, names: Sequence[str]) -> tuple[str | None, Identity | None]:
    authorities = [name for name in names if name.endswith(".crt")]
    mine = next((name for name in names if name.endswith(".cert")), None)
    identity = None
    if mine:
        key = f"{mine.removesuffix('.cert')}.key"
        if key not in names:
            raise InvalidConfig(f"{place / mine} has no {key} beside it")
        identity = str(place / mine), str(place / key)
    return str(place / authorities[0]) if authorities else None, identity
