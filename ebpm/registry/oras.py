"""Scripts that use oras-py, on our transport.

>>> from ebpm.registry.oras import OrasClient       # instead of oras.client
>>> client = OrasClient()                           # logins out of docker's config.json
>>> client.push(target="ghcr.io/acme/data:1", files=["data.json"])
>>> client.pull(target="ghcr.io/acme/data:1", outdir="there")

It is an ``oras.provider.Registry``, so that subclasses of that and ``oras.layout`` work with it.
What differs: digests are checked, credentials go to their own host only, files appear when they are
whole, memory does not grow with a blob, an index stands for this machine's manifest, and errors are
EbpmErrors. Import it where it is needed and nowhere else: oras takes longer to import than ebpm.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import oras.container  # noqa: TID253  # this module is the lazy one
import oras.defaults  # noqa: TID253
import oras.provider  # noqa: TID253
import oras.schemas  # noqa: TID253
import oras.utils  # noqa: TID253
import requests

from ebpm.errors import (
    InsecureTransport,
    InvalidManifest,
    PlatformNotFound,
    Unsupported,
)
from ebpm.oci.descriptor import INDEXES, Descriptor
from ebpm.oci.digest import Digest
from ebpm.oci.manifest import Index, Manifest, parse_manifest
from ebpm.oci.platform import Platform
from ebpm.oci.reference import Reference
from ebpm.oci.store import fetch_manifest
from ebpm.registry.address import split
from ebpm.registry.answer import Answer
from ebpm.registry.channel import Channel
from ebpm.registry.client import RegistryClient
from ebpm.registry.credentials import Credential, CredentialStore
from ebpm.registry.http import Http, HttpSettings
from ebpm.registry.oras_files import fetch_file, fetch_folder, place_of
from ebpm.registry.oras_io import (
    Logins,
    checked,
    digest_in,
    file_chunks,
    made_up,
    request_body,
    with_content,
)
from ebpm.registry.repository import Repository
from ebpm.registry.upload import PIECE, upload_in_chunks

_BINARY = "application/octet-stream"
_FOLDER_TYPE = oras.defaults.default_blob_dir_media_type
_API = re.compile(r"/v2/(.+)/((?:blobs|manifests|tags|referrers)/.*)")


class OrasClient(oras.provider.Registry):  # type: ignore[misc]  # oras-py has no types
    """oras-py's client over our transport; arguments and results are oras-py's.

    Args:
        hostname: the registry of names that have none.
        insecure: speak plain http to the registries that are named.
        tls_verify: a file of certificates, instead of the usual ones; False is refused.
        auth_backend: "token" and "basic" are the same here: what the registry asks for is done.
        client: whose settings and logins are used, e.g. ``ebpm.api.Workspace().client()``.
    """

    def __init__(
        self,
        hostname: str | None = None,
        insecure: bool = False,
        tls_verify: bool | str = True,
        auth_backend: str = "token",
        *,
        client: RegistryClient | None = None,
    ) -> None:
        if not tls_verify:
            raise InsecureTransport(
                "ebpm always checks certificates", hint="name their file: tls_verify=FILE"
            )
        if auth_backend not in ("token", "basic"):
            raise Unsupported(
                f"auth_backend={auth_backend!r}: logins come from docker's files and helpers",
                hint="for ECR, configure docker-credential-ecr-login",
            )
        super().__init__(hostname, insecure)
        settings = client.settings if client else HttpSettings(user_agent="ebpm-oras")
        self._plain = set(settings.plain_http)
        ca_file = tls_verify if isinstance(tls_verify, str) else settings.ca_file
        self._settings = replace(settings, plain_http=self._plain, ca_file=ca_file)
        docker = Path(oras.utils.find_docker_config(exists=False))
        files = client.credentials if client else CredentialStore([], docker)
        self.auth = Logins(files, hostname, self._forget)
        self._client = RegistryClient(self._settings, self.auth)
        self._http = Http(self._settings)  # for addresses outside of any repository
        self._known: set[str] = set()  # registries that the script has named

    def _forget(self) -> None:
        self._client.forget()

    # --- names and logins ------------------------------------------------------------------------

    def get_container(self, name: str | oras.container.Container) -> oras.container.Container:
        """Read a name, ``HOST/REPOSITORY[:TAG|@DIGEST]``; without a host, it is Docker Hub's."""
        found = Reference.parse(str(name))
        host = found.registry or self.hostname or oras.defaults.registry.index_name
        if isinstance(name, oras.container.Container):
            container = name
        else:
            container = oras.container.Container(name, registry=host)
            namespace, _, container.repository = found.repository.rpartition("/")
            container.namespace = namespace or None
            container.registry = host
        self._name_host(container.registry)
        return container

    def _name_host(self, host: str) -> None:
        self._known.add(host)
        if self.prefix == "http":
            self._plain.add(host)
        self.auth.bind(host)

    def login(
        self,
        username: str,
        password: str,
        password_stdin: bool = False,
        tls_verify: bool = True,  # noqa: ARG002
        hostname: str | None = None,
        config_path: str | None = None,
    ) -> dict[str, str]:
        """Try a login, and keep it if the registry accepts it."""
        host = hostname or self.hostname or oras.defaults.registry.index_name
        if password_stdin:
            password = oras.utils.readline()
        if not username or not password:
            raise ValueError("a username and a password are needed")
        credential = Credential(username, password)
        self._name_host(host)
        keep = CredentialStore([], Path(config_path)) if config_path else self.auth
        RegistryClient(self._settings, keep).login(host, credential)
        self.auth.give(credential, host)
        return {"Status": "Login Succeeded"}

    def logout(self, hostname: str) -> None:
        """Forget a login, and the tokens that were got for it."""
        self._client.logout(hostname)

    def _channel(self, container: Any, *, push: bool = False) -> Channel:  # noqa: ANN401
        named = self.get_container(container)
        return self._client.channel(named.registry, named.api_prefix, push=push)

    # --- requests --------------------------------------------------------------------------------

    def do_request(
        self,
        url: str,
        method: str = "GET",
        data: Any = None,  # noqa: ANN401
        headers: Mapping[str, str] | None = None,
        json: Any = None,  # noqa: ANN401
        stream: bool = False,
    ) -> requests.Response:
        """Send a request; a credential goes with it only to registries that the script named."""
        body = request_body(data, json)
        ours = ("authorization", "content-length")
        given = {name: value for name, value in (headers or {}).items() if name.lower() not in ours}
        if json is not None:
            given.setdefault("Content-Type", "application/json")
        parts = split(url)
        match = _API.fullmatch(parts.path)
        if match is None or parts.netloc not in self._known:
            answer = self._http.request(method, url, headers=given, body=body)
            return checked(answer, kind="", wanted=None, stream=stream)
        push = method not in ("GET", "HEAD")
        channel = self._client.channel(parts.netloc, match[1], push=push)
        query = f"?{parts.query}" if parts.query else ""
        answer = channel.send(method, f"{channel.url}/{match[2]}{query}", headers=given, body=body)
        kind, _, name = match[2].partition("/")
        whole = method == "GET" and answer.status == 200 and kind in ("blobs", "manifests")
        return checked(answer, kind=kind if whole else "", wanted=digest_in(name), stream=stream)

    def _check_200_response(self, response: requests.Response) -> None:
        """Raise what a refusal means, in the registry's own words."""
        if response.status_code in (200, 201, 202):
            return
        parts = split(str(response.url))
        match = _API.fullmatch(parts.path)
        channel = self._client.channel(parts.netloc, match[1] if match else "")
        channel.expect_manifest(Answer(with_content(response, response.content)), ())

    # --- blobs -----------------------------------------------------------------------------------

    def upload_blob(
        self,
        blob: str,
        container: Any,  # noqa: ANN401
        layer: dict[str, Any],
        do_chunked: bool = False,
        chunk_size: int = PIECE,
    ) -> requests.Response:
        """Send a file, unless the registry has it."""
        if Repository(self._channel(container, push=True)).has(_blob(layer)):
            return made_up(200, _blob(layer))
        if do_chunked:
            return self.chunked_upload(blob, container, layer, chunk_size)
        return self.put_upload(blob, container, layer)

    def put_upload(
        self,
        blob: str,
        container: Any,  # noqa: ANN401
        layer: dict[str, Any],
    ) -> requests.Response:
        """Send a file in one piece."""
        with Path(blob).open("rb") as file:
            Repository(self._channel(container, push=True)).put(_blob(layer), file_chunks(file))
        return made_up(201, _blob(layer))

    def chunked_upload(
        self,
        blob: str,
        container: Any,  # noqa: ANN401
        layer: dict[str, Any],
        chunk_size: int = PIECE,
    ) -> requests.Response:
        """Send a file in pieces, of 4 MiB at most, since some registries take no larger ones."""
        channel = self._channel(container, push=True)
        with Path(blob).open("rb") as file:
            upload_in_chunks(channel, _blob(layer), file_chunks(file), min(chunk_size, PIECE))
        return made_up(201, _blob(layer))

    def download_blob(self, container: Any, digest: str, outfile: str) -> str:  # noqa: ANN401
        """Fetch a blob into a file, which is there when it is whole and right."""
        repository = Repository(self._channel(container))
        wanted = Digest.parse(digest)
        size = repository.blob_size(wanted)
        fetch_file(
            repository, Descriptor(media_type=_BINARY, digest=wanted, size=size), Path(outfile)
        )
        return outfile

    # --- manifests -------------------------------------------------------------------------------

    def get_manifest(
        self,
        container: Any,  # noqa: ANN401
        allowed_media_type: Sequence[str] | None = None,
        validation_schema: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Read a manifest or index, whose bytes are checked."""
        found = self._manifest(container, allowed_media_type)
        document: dict[str, Any] = json.loads(found.raw)
        if validation_schema:
            oras.provider.jsonschema.validate(document, schema=validation_schema)
        return document

    def _manifest(self, container: Any, allowed: Sequence[str] | None) -> Manifest | Index:  # noqa: ANN401
        named = self.get_container(container)
        repository = Repository(self._channel(named))
        descriptor, raw = repository.read_manifest(named.digest or named.tag)
        if allowed and descriptor.media_type not in allowed:
            raise InvalidManifest(f"{named} is of type {descriptor.media_type}")
        return parse_manifest(raw, descriptor.media_type)

    def upload_manifest(self, manifest: dict[str, Any], container: Any) -> requests.Response:  # noqa: ANN401
        """Send a manifest under the container's name; one that is there is not sent again."""
        named = self.get_container(container)
        media_type = manifest.get("mediaType", oras.defaults.default_manifest_media_type)
        schema = oras.schemas.index if media_type in INDEXES else oras.schemas.manifest
        oras.provider.jsonschema.validate(manifest, schema=schema)
        raw = json.dumps(manifest).encode()
        descriptor = Descriptor.of(raw, media_type)
        repository = Repository(self._channel(named, push=True))
        repository.tag(descriptor, named.digest or named.tag, raw)
        return made_up(201, descriptor)

    def pull(
        self,
        target: str,
        config_path: str | None = None,
        allowed_media_type: Sequence[str] | None = None,
        overwrite: bool = True,
        outdir: str | None = None,
    ) -> list[str]:
        """Fetch the files of an artifact; of an index, those for this machine."""
        container = self.get_container(target)
        self.auth.load_configs(container, configs=[config_path] if config_path else None)
        repository = Repository(self._channel(container))
        found = self._manifest(container, allowed_media_type)
        if isinstance(found, Index):
            found = _for_this_machine(repository, found)
        base = Path(outdir or tempfile.mkdtemp(prefix="oras-")).expanduser()
        base.mkdir(parents=True, exist_ok=True)
        places = [place_of(base.resolve(), layer) for layer in found.layers]
        if len(set(places)) < len(places):
            raise InvalidManifest(f"{container} has two files of one name")
        taken = []
        for layer, place in zip(found.layers, places, strict=True):
            if not overwrite and place.exists():
                continue
            fetch = fetch_folder if layer.media_type == _FOLDER_TYPE else fetch_file
            fetch(repository, replace(layer, media_type=_BINARY), place)
            taken.append(str(place))
        return taken

    # --- tags ------------------------------------------------------------------------------------

    def get_tags(self, container: Any, N: int | None = None) -> list[str]:  # noqa: ANN401, N803
        """List tags, over all pages."""
        tags = Repository(self._channel(container)).tags(N)
        return list(tags if N is None else islice(tags, N))

    def delete_tag(self, container: Any, tag: str) -> bool:  # noqa: ANN401
        """Delete a tag and nothing else; False where there is none."""
        channel = self._channel(container, push=True)
        with channel.call("DELETE", f"manifests/{tag}") as answer:
            if answer.status != 404:
                channel.expect_manifest(answer, (200, 202), f":{tag}")
            return answer.status != 404

    def _validate_path(self, path: str) -> bool:
        return Path(os.path.abspath(path)).is_relative_to(Path.cwd())  # noqa: PTH100  # links stay


def _blob(layer: dict[str, Any]) -> Descriptor:
    """Read a layer's description; whatever it calls itself, it is sent as a blob."""
    return replace(Descriptor.from_json({"mediaType": _BINARY, **layer}), media_type=_BINARY)


def _for_this_machine(repository: Repository, index: Index) -> Manifest:
    here = Platform.of_machine(os.uname().machine)
    for one in index.manifests:
        if one.platform == here or len(index.manifests) == 1:
            found = fetch_manifest(repository, one)
            if isinstance(found, Manifest):
                return found
    raise PlatformNotFound(f"{repository} has nothing for {here} in its index")
