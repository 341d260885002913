"""What the user decided: folders, programs, registries. Flag > environment > file > default.

The only module that reads the environment and our configuration file. On the path of ``ebpm run``.
"""

from __future__ import annotations

import os
import sys

from ebpm.errors import InvalidConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_LARGEST = 1 << 20  # bytes of our configuration file
_HTTP = ("http://", "https://")
_KEYS = {
    "indexes": list,
    "plain_http": list,
    "store": str,
    "ca_file": str,
    "lower_stores": list,
    "offline": bool,
    "mirrors": dict,
}
_SHARED_STORES = ["/var/lib/ebpm/mirror", "/usr/share/ebpm/store"]  # of the site; of packages

_CONTAINERS, _REGISTRIES = "/etc/containers", "registries.conf"


class Config:
    """Settings, looked up once.

    Args:
        environment: os.environ, or what stands for it in tests.
        uid: the effective user.
    """

    def __init__(
        self, environment: Mapping[str, str] | None = None, uid: int | None = None
    ) -> None:
        self.environment = os.environ if environment is None else environment
        self.uid = os.geteuid() if uid is None else uid
        self.config_file = self.get("EBPM_CONFIG") or f"{self._folder('config')}/config.yaml"
        settings = self._read_file()
        named = self.get("EBPM_STORE") or self._path(settings.get("store"))
        self.store = named or self._default_store()
        self.lower_stores = self._lower_stores(settings.get("lower_stores", []))
        self.offline = _is_yes(self.get("EBPM_OFFLINE")) or bool(settings.get("offline"))
        self.catalogue = self.get("EBPM_CATALOGUE") or f"{os.path.dirname(__file__)}/index/layout"
        self.cache = self.get("EBPM_CACHE") or self._folder("cache")
        self.libbpf = self.get("EBPM_LIBBPF")
        self.pure = _is_yes(self.get("EBPM_PURE"))
        self.clang = self.get("EBPM_CLANG")
        self.ca_file = self.get("SSL_CERT_FILE") or self._path(settings.get("ca_file"))
        places: list[str] = settings.get("indexes", [])
        self.indexes = [one for one in places if not one.startswith(_HTTP)]
        bases = [one for one in places if one.startswith(_HTTP)]
        eunomia = self.get("EUNOMIA_REPOSITORY")
        self.http_bases = [eunomia, *bases] if eunomia else bases
        self.btf = self.get("BTF_FILE_PATH")
        self.kernel_btf = self.get("EBPM_KERNEL_BTF") or "/sys/kernel/btf/vmlinux"
        self.plain_http: list[str] = settings.get("plain_http", [])
        self.mirrors: list[dict[str, str]] = settings.get("mirrors", [])

    def get(self, name: str) -> str | None:
        """Read a variable; an empty one counts as unset."""
        return self.environment.get(name) or None

    @property
    def colour(self) -> bool:
        """Whether a terminal may be coloured (no-color.org)."""
        return not self.get("NO_COLOR") and self.get("TERM") != "dumb"

    @property
    def source_date(self) -> int:
        """SOURCE_DATE_EPOCH, seconds; 0 where it is not set (reproducible-builds.org)."""
        text = self.get("SOURCE_DATE_EPOCH") or "0"
        if not text.isdecimal() or int(text) >= 1 << 37:
            raise InvalidConfig(f"SOURCE_DATE_EPOCH is {text!r}, not seconds since 1970")
        return int(text)

    @property
    def trusted_users(self) -> tuple[int, ...]:
        """Whose files may decide what is run: the user's, root's, those of the user behind sudo."""
        behind = self.get("SUDO_UID") or ""
        sudo = (int(behind),) if self.uid == 0 and behind.isdecimal() and len(behind) < 11 else ()
        return (self.uid, 0, *sudo)

    @property
    def credential_files(self) -> list[str]:
        """Where logins may be, as podman and docker look for them (containers-auth.json(5))."""
        named = self.get("REGISTRY_AUTH_FILE")
        if named:
            return [named]
        runtime = self.get("XDG_RUNTIME_DIR")
        files = [f"{runtime}/containers/auth.json"] if runtime else []
        base = self.get("XDG_CONFIG_HOME") or f"{self._home()}/.config"
        old = f"{self._home()}/.dockercfg"
        return [*files, f"{base}/containers/auth.json", self.docker_config, old]

    @property
    def registries_files(self) -> list[str]:
        """Where mirrors may be named, as podman looks for them (containers-registries.conf(5))."""
        named = self.get("CONTAINERS_REGISTRIES_CONF")
        if named:
            return [named]
        own = f"{self.get('XDG_CONFIG_HOME') or self._home() + '/.config'}/containers"
        first = next(
            (one for one in (own, _CONTAINERS) if os.path.isfile(f"{one}/{_REGISTRIES}")), own
        )
        files = [f"{first}/{_REGISTRIES}"]
        for folder in (f"{_CONTAINERS}/{_REGISTRIES}.d", f"{own}/{_REGISTRIES}.d"):
            try:
                names = sorted(os.listdir(folder))
            except OSError:
                continue
            files += [f"{folder}/{name}" for name in names if name.endswith(".conf")]
        return files

    @property
    def docker_config(self) -> str:
        """Docker's config.json."""
        return f"{self.get('DOCKER_CONFIG') or self._home() + '/.docker'}/config.json"

    @property
    def login_file(self) -> str:
        """Where a login is kept: where the first look for it will be, if the user named that."""
        return self.get("REGISTRY_AUTH_FILE") or self.docker_config

    @property
    def given_login(self) -> tuple[str, str, str] | None:
        """EBPM_REGISTRY, EBPM_USERNAME and EBPM_PASSWORD: a host, and who we are there.

        Raises:
            InvalidConfig: one is there without the others: a password is for one host.
        """
        names = ("EBPM_REGISTRY", "EBPM_USERNAME", "EBPM_PASSWORD")
        host, user, password = (self.get(name) for name in names)
        if host and user and password:
            return host.lower(), user, password
        if user or password:
            absent = ", ".join(name for name in names if not self.get(name))
            raise InvalidConfig(
                f"{absent} is not set: a login in the environment is for one host",
                hint=f"set all of {', '.join(names)}, or none of them",
            )
        return None

    @property
    def actions_login(self) -> tuple[str, str, str] | None:
        """The login that GitHub Actions gives to a job, for the registry beside its server."""
        token = self.get("GITHUB_TOKEN")
        if not token or self.get("GITHUB_ACTIONS") != "true":
            return None
        server = (self.get("GITHUB_SERVER_URL") or "https://github.com").partition("://")[2]
        server = server.partition("/")[0].lower()
        host = "ghcr.io" if server == "github.com" else f"containers.{server}"
        return host, self.get("GITHUB_ACTOR") or "x-access-token", token

    @property
    def certificate_folders(self) -> list[str]:
        """Where hosts may have certificates of their own (containers-certs.d(5), then docker's)."""
        base = self.get("XDG_CONFIG_HOME") or f"{self._home()}/.config"
        return [
            f"{base}/containers/certs.d",
            "/etc/containers/certs.d",
            "/etc/docker/certs.d",
        ]

    # --- folders ---------------------------------------------------------------------------------

    def _default_store(self) -> str:
        """Tell where our store is: local builds live in it, so it is data and not cache."""
        return f"{self._folder('data')}/store"

    def _lower_stores(self, named: list[str]) -> list[str]:
        """List the stores that are read and never written, in the order in which they are searched.

        Where the user named the store, only those that were named as well.
        """
        stores = [one for one in (self.get("EBPM_LOWER_STORES") or "").split(":") if one]
        stores += [self._path(one) or one for one in named]
        if not self.get("EBPM_STORE"):
            stores += self._invoking_store()
            stores += [one for one in _SHARED_STORES if os.path.isdir(one)]
        return stores

    def _invoking_store(self) -> list[str]:
        """Find the store of the user behind sudo: root reads it and never writes to it."""
        uid = self.get("SUDO_UID")
        if self.uid != 0 or not uid or not uid.isdecimal() or uid == "0":
            return []
        import pwd

        try:
            home = pwd.getpwuid(int(uid)).pw_dir
        except (KeyError, OverflowError):
            return []
        return [f"{home}/.local/share/ebpm/store"]

    def _folder(self, kind: str) -> str:
        """Tell the folder of a kind: data, cache or config."""
        if self.uid == 0:  # the system's: sudo may or may not have kept a user's HOME
            return {"data": "/var/lib/ebpm", "cache": "/var/cache/ebpm", "config": "/etc/ebpm"}[
                kind
            ]
        if sys.platform == "linux":
            # What platformdirs says here, at a tenth of the start-up time; a test compares them.
            variable, default = {
                "data": ("XDG_DATA_HOME", ".local/share"),
                "cache": ("XDG_CACHE_HOME", ".cache"),
                "config": ("XDG_CONFIG_HOME", ".config"),
            }[kind]
            base = self.get(variable)
            return f"{base if base and os.path.isabs(base) else self._home() + '/' + default}/ebpm"
        import platformdirs  # type: ignore[unreachable, unused-ignore]

        return str(getattr(platformdirs, f"user_{kind}_dir")("ebpm", appauthor=False))

    def _home(self) -> str:
        home = self.get("HOME")
        if home and os.path.isabs(home):
            return home
        import pwd

        try:
            return pwd.getpwuid(self.uid).pw_dir
        except KeyError:
            raise InvalidConfig(
                f"user {self.uid} has no home folder",
                hint="set HOME, or EBPM_STORE, EBPM_CACHE and EBPM_CONFIG",
            ) from None

    def _path(self, text: str | None) -> str | None:
        """Read a path out of the file: ``~`` is home, and the rest is taken from the file's folder.

        What is relative would be another place in each folder that somebody works in.
        """
        if not text:
            return None
        if text == "~" or text.startswith("~/"):
            return self._home() + text[1:]
        return os.path.join(os.path.dirname(os.path.abspath(self.config_file)), text)

    # --- the file --------------------------------------------------------------------------------

    def _read_file(self) -> dict[str, Any]:
        try:
            with open(self.config_file, "rb") as file:
                text = file.read(_LARGEST + 1)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            if isinstance(error, PermissionError) and not self.get("EBPM_CONFIG"):
                return {}  # nobody asked for it: HOME may be another user's, under sudo or su
            raise InvalidConfig(f"cannot read {self.config_file}: {error.strerror}") from None
        if len(text) > _LARGEST:
            raise InvalidConfig(f"{self.config_file} is larger than any configuration")
        import yaml

        try:
            data = yaml.safe_load(text) or {}
        except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
            # What PyYAML raises beside its own errors, on an odd !!int or !!timestamp.
            raise InvalidConfig(f"{self.config_file} is not YAML: {error}") from None
        except RecursionError:
            raise InvalidConfig(f"{self.config_file} is nested too deeply") from None
        if not isinstance(data, dict):
            raise InvalidConfig(f"{self.config_file} is not a mapping of settings")
        for key, value in data.items():
            self._check(key, value)
        return data

    def _check(self, key: object, value: object) -> None:
        from difflib import get_close_matches

        if key not in _KEYS:
            near = get_close_matches(str(key), _KEYS, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_KEYS)}"
            raise InvalidConfig(f"{self.config_file}: unknown setting {key!r}", hint=hint)
        if _KEYS[str(key)] is bool:
            if not isinstance(value, bool):
                raise InvalidConfig(f"{self.config_file}: {key} is neither true nor false")
            return
        if _KEYS[str(key)] is dict:
            if not isinstance(value, list) or not all(_is_table(one) for one in value):
                raise InvalidConfig(f"{self.config_file}: {key} is not a list of settings")
            return
        many = _KEYS[str(key)] is list
        items = value if isinstance(value, list) else [value]
        if many is not isinstance(value, list) or not all(isinstance(one, str) for one in items):
            words = "a list of texts" if many else "text"
            raise InvalidConfig(f"{self.config_file}: {key} is not {words}")


def _is_table(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


def _is_yes(text: str | None) -> bool:
    """Read a switch in the environment: 0, no and false are off, as is what is empty."""
    return (text or "").lower() not in ("", "0", "no", "false")
