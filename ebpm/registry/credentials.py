"""Who we are at which registry: docker's and podman's files, and their helpers.

Order: containers-auth.json(5), docker's config.json, .dockercfg. Inside a file: a helper for the
host, the file's helper for all, then the entry in the file; of entries, the one for the longest
path.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ebpm.errors import AuthenticationFailed, InvalidConfig, OutputFailed
from ebpm.files import whole_file

_HELPER_PATIENCE = 30  # seconds
_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
_HUB_KEY = "https://index.docker.io/v1/"
_TOKEN_USER = "<token>"  # noqa: S105  # docker's mark for an identity token


@dataclass(frozen=True, slots=True)
class Credential:
    """A user and a password, or a token that is exchanged for others (``identity``)."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity: str = field(default="", repr=False)
    bearer: str = field(default="", repr=False)  # sent as it is

    @property
    def basic(self) -> str:
        """The value of an Authorization header."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


class Credentials(Protocol):
    """A place to find logins in, and to keep them."""

    def find(self, host: str, repository: str = "") -> Credential | None:
        """Find the credential for a host, or for a path below it."""

    def save(self, host: str, credential: Credential) -> str:
        """Keep a credential; tell where."""

    def erase(self, host: str) -> bool:
        """Forget a host; False where nothing was known of it."""


class Logins:
    """Credentials that the environment gives for single hosts, around those that are kept.

    Args:
        given: come first: the user named the host.
        kept: where the others are, and where new ones go.
        ambient: come last: nobody asked for them.
    """

    def __init__(
        self,
        given: Mapping[str, Credential],
        kept: Credentials,
        ambient: Mapping[str, Credential],
    ) -> None:
        self._given = given
        self._kept = kept
        self._ambient = ambient

    def find(self, host: str, repository: str = "") -> Credential | None:
        """Find the credential for a host, or for a path below it."""
        host = host.lower()
        names = _aliases(host)
        for name in names:
            if name in self._given:
                return self._given[name]
        found = self._kept.find(host, repository)
        return found or next((self._ambient[one] for one in names if one in self._ambient), None)

    def save(self, host: str, credential: Credential) -> str:
        """Keep a credential; tell where."""
        return self._kept.save(host, credential)

    def erase(self, host: str) -> bool:
        """Forget what is kept for a host; False where nothing was."""
        return self._kept.erase(host)


class CredentialStore:
    """Finds and keeps credentials.

    Args:
        files: config.json-like files to read, the first that knows a host wins.
        write_to: the one that :meth:`save` changes; read as well.
    """

    def __init__(self, files: Sequence[Path], write_to: Path) -> None:
        self._files = list(dict.fromkeys([*files, write_to]))
        self._write_to = write_to

    def find(self, host: str, repository: str = "") -> Credential | None:
        """Find the credential for a host, or for a path below it.

        Raises:
            InvalidConfig: a file is not what it should be.
            AuthenticationFailed: a helper failed.
        """
        for path in self._files:
            found = _find(_read(path), _keys(host, repository), host)
            if found:
                return found
        return None

    def save(self, host: str, credential: Credential) -> str:
        """Keep a credential; tell where.

        A helper that the file names gets it; else it goes into the file, readable by its owner.
        """
        data = _read(self._write_to)
        helper = _helper(data, host)
        key = _hub_key(host)
        if helper:
            secret = credential.identity or credential.password
            user = _TOKEN_USER if credential.identity else credential.username
            given = {"ServerURL": key, "Username": user, "Secret": secret}
            _call(helper, "store", json.dumps(given))
            return f"docker-credential-{helper}"
        entry: dict[str, str] = {"auth": _encode(credential)}
        if credential.identity:
            entry["identitytoken"] = credential.identity
        # Whatever else this host is called in the file would be found instead.
        kept = {
            k: v for k, v in (data.get("auths") or {}).items() if _strip(k) not in _aliases(host)
        }
        self._write({**data, "auths": {**kept, key: entry}})
        return str(self._write_to)

    def erase(self, host: str) -> bool:
        """Forget a host; False where nothing was known of it."""
        data = _read(self._write_to)
        helper = _helper(data, host)
        known = False
        if helper:
            known = bool(_ask_helper(helper, _hub_key(host)))
            if known:
                _call(helper, "erase", _hub_key(host))
        auths = data.get("auths") or {}
        kept = {key: value for key, value in auths.items() if _host_of(key) not in _aliases(host)}
        if len(kept) < len(auths):
            self._write({**data, "auths": kept})
        return known or len(kept) < len(auths)

    def _write(self, data: dict[str, Any]) -> None:
        path = self._write_to.resolve()  # a link (dotfiles are often one) stays one
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise OutputFailed(f"cannot write {path}: {error.strerror}") from None
        with whole_file(path, mode=0o600, lasting=True) as file:
            file.write(json.dumps(data, indent="\t").encode() + b"\n")


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise InvalidConfig(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise InvalidConfig(f"{path} is not JSON") from None
    if path.name == ".dockercfg" and isinstance(data, dict):
        data = {"auths": data}  # before docker 1.7 the hosts were all there was
    if not isinstance(data, dict) or not isinstance(data.get("auths") or {}, dict):
        raise InvalidConfig(f"{path} is not a map of credentials")
    return data


def _find(data: dict[str, Any], keys: list[str], host: str) -> Credential | None:
    helper = _helper(data, host)
    if helper:
        for key in dict.fromkeys([_hub_key(host), host, f"https://{host}"]):
            if found := _ask_helper(helper, key):
                return found
    auths = data.get("auths") or {}
    entries = {_strip(key): value for key, value in auths.items() if isinstance(value, dict)}
    for key in keys:
        if key in entries and (found := _decode(entries[key])):
            return found
    return None


def _keys(host: str, repository: str) -> list[str]:
    """List the keys to look for, the most specific first."""
    parts = repository.split("/") if repository else []
    paths = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    hosts = _aliases(host)
    return [f"{name}/{path}" for path in paths for name in hosts] + list(hosts)


def _aliases(host: str) -> Sequence[str]:
    return _HUB if host in _HUB else (host,)


def _hub_key(host: str) -> str:
    return _HUB_KEY if host in _HUB else host


def _strip(key: str) -> str:
    key = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    return key.removesuffix("/v1").removesuffix("/v2") if "/" in key else key


def _host_of(key: str) -> str:
    return _strip(key).partition("/")[0]


def _decode(entry: dict[str, Any]) -> Credential | None:
    username, password = entry.get("username") or "", entry.get("password") or ""
    if auth := entry.get("auth"):
        try:
            pair = base64.b64decode(str(auth).strip(), validate=True).decode("utf-8").rstrip("\0")
            username, password = pair.split(":", 1)
        except (binascii.Error, ValueError):
            raise InvalidConfig(
                "a registry's auth in the credentials file is not base64 of USER:PASSWORD",
                hint="log in again with `ebpm login REGISTRY`",
            ) from None
    identity, bearer = entry.get("identitytoken") or "", entry.get("registrytoken") or ""
    if username == _TOKEN_USER:
        identity, username, password = password, "", ""
    credential = Credential(str(username), str(password), str(identity), str(bearer))
    return credential if credential != Credential() else None


def _encode(credential: Credential) -> str:
    pair = f"{credential.username}:{credential.password}"
    return base64.b64encode(pair.encode()).decode()


# --- helpers: docker-credential-NAME get|store|erase ----------------------------------------------


def _helper(data: dict[str, Any], host: str) -> str | None:
    helpers = data.get("credHelpers")
    if not isinstance(helpers, dict):
        helpers = {}
    by_host = {_strip(key): name for key, name in helpers.items()}
    named = [by_host[one] for one in _aliases(host) if one in by_host]
    name = named[0] if named else data.get("credsStore")
    if not isinstance(name, str) or not name:
        return None
    if os.sep in name:
        raise InvalidConfig(f"{name[:200]!r} is no name of a credential helper")
    return name


def _ask_helper(helper: str, key: str) -> Credential | None:
    if shutil.which(f"docker-credential-{helper}") is None:
        return None  # configured on another machine, as in a shared home; the file may know
    answer = _call(helper, "get", key, absent_ok=True)
    if answer is None:
        return None
    try:
        data = json.loads(answer)
        username, secret = str(data.get("Username", "")), str(data["Secret"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AuthenticationFailed(
            f"docker-credential-{helper} answered what no helper should"
        ) from None
    if username == _TOKEN_USER:
        return Credential(identity=secret)
    return Credential(username, secret) if secret else None


def _call(helper: str, verb: str, given: str, *, absent_ok: bool = False) -> str | None:
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(  # the user's own helper, without a shell
            [program, verb],
            input=given,
            capture_output=True,
            text=True,
            timeout=_HELPER_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AuthenticationFailed(
            f"{program} {verb} did not answer in {_HELPER_PATIENCE} s"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise AuthenticationFailed(f"cannot run {program}: {error}") from None
    if done.returncode == 0:
        return done.stdout
    said = (done.stdout or done.stderr).strip()
    if absent_ok and "not found" in said.lower():
        return None
    raise AuthenticationFailed(f"{program} {verb} failed: {said[:300]}")
