"""HTTP to registries: the only user of requests.

What this layer promises to those above: no credential reaches another host or plain http beyond
loopback; nothing hangs for ever; only what may be repeated is repeated; bytes are as they were sent
(no content decoding, no cookies, no netrc). It may be used from several threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import requests
from requests.adapters import HTTPAdapter

from ebpm.errors import InsecureTransport, Offline, RegistryError, RegistryUnreachable
from ebpm.registry.address import api_host, is_among, is_loopback, join, origin, shown, split
from ebpm.registry.answer import Answer
from ebpm.registry.certificates import Certificates
from ebpm.registry.trouble import is_final, pause, reason, retry_after
from ebpm.registry.words import may_pass, said_wait

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_REDIRECT_LIMIT = 10
_CONNECTIONS = 8  # kept for each host
_WARNINGS = 20  # that are passed on
_TIMEOUT_TRIES = 2  # who was silent once will be again
_BROKEN = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """What the user decides about connections. Times are in seconds."""

    plain_http: Collection[str] = ()  # hosts that may be spoken to without TLS
    ca_file: str | None = None
    certificate_folders: Sequence[str] = ()  # see ebpm.registry.certificates
    user_agent: str = "ebpm"
    connect_timeout: float = 10.0
    read_timeout: float = 60.0  # between bytes
    tries: int = 5
    patience: float = 180.0  # for all tries of one request, with the pauses between them
    offline: bool = False  # nothing is sent at all
    log: Callable[[str], None] | None = field(default=None, repr=False)  # one line a request
    warn: Callable[[str], None] | None = field(default=None, repr=False)  # what registries warn of


class SizedBody:
    """A body of known length, sent without chunked encoding and never held as a whole.

    Args:
        chunks: its bytes.
        size: how many there are.
        repeatable: the chunks can be read again, and it is small enough for that.
    """

    def __init__(self, chunks: Iterable[bytes], size: int, *, repeatable: bool = False) -> None:
        self._chunks = chunks
        self._size = size
        self.repeatable = repeatable

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def __bool__(self) -> bool:
        return True  # requests takes what is false for no body


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it is given, before redirects and headers of ours."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | SizedBody | None = None
    authorization: str | None = field(default=None, repr=False)
    follow: bool = True

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does what sending it once does."""
        once = isinstance(self.body, SizedBody) and not self.body.repeatable
        return self.method != "PATCH" and not once


class Http:
    """A pool of connections to any host."""

    def __init__(self, settings: HttpSettings) -> None:
        self.settings = settings
        # The adapter without a Session around it: no cookies, no netrc, no redirects of its own.
        self._adapter = HTTPAdapter(pool_connections=_CONNECTIONS, pool_maxsize=_CONNECTIONS)
        self._certificates = Certificates(settings.ca_file, settings.certificate_folders)
        self._warned: set[str] = set()
        self._not_before: dict[str, float] = {}  # by origin; time.monotonic()

    def close(self) -> None:
        """Close all connections."""
        self._adapter.close()

    def base_url(self, registry: str) -> str:
        """Tell how a registry is reached: https, or http on loopback or where it was allowed."""
        host = api_host(registry)
        return f"{'http' if self._may_be_plain(host) else 'https'}://{host}"

    def _may_be_plain(self, host: str) -> bool:
        return is_loopback(host) or is_among(host, self.settings.plain_http)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | SizedBody | None = None,
        authorization: str | None = None,
        timeout: float | None = None,
        follow: bool = True,
    ) -> Answer:
        """Send a request and give its answer, whatever its status; the body is not read yet.

        It is sent again after a broken connection, or one of the statuses that ask for it, unless
        it is a PATCH or its body can be read only once. GET and HEAD follow redirects.

        Args:
            method: GET, HEAD, PUT, POST, PATCH, DELETE.
            url: absolute.
            headers: beside ours.
            body: bytes, or a sized iterable that is read once.
            authorization: goes to the host of ``url`` and to no other.
            timeout: seconds for a single try, instead of the settings'.
            follow: follow redirects, of GET and HEAD.

        Raises:
            RegistryUnreachable: no connection, after all tries.
            RegistryError: the address is none, or redirects do not end.
            InsecureTransport: plain http to a host for which it was not allowed.
            Offline: nothing may be sent.
        """
        if self.settings.offline:
            host = split(url).netloc.rpartition("@")[2]
            raise Offline(f"{host} would be asked, and ebpm is told to stay offline")
        request = Request(
            method=method,
            url=url,
            headers=headers or {},
            body=body,
            authorization=authorization,
            follow=follow and method in ("GET", "HEAD"),
        )
        tries = self.settings.tries if request.repeatable and timeout is None else 1
        started = time.monotonic()
        place = split(url).netloc
        for attempt in range(1, tries + 1):
            wait = pause(attempt)
            self._hold_off(place, started)
            try:
                answer = self._follow(request, timeout)
            except _BROKEN as error:
                spent = time.monotonic() - started + wait
                silent = isinstance(error, requests.Timeout) and attempt >= _TIMEOUT_TRIES
                last = attempt == tries or silent or spent > self.settings.patience
                if last or is_final(error):
                    raise RegistryUnreachable(
                        f"cannot reach {_host_of(error, url)}: {reason(error)}"
                    ) from None
            else:
                if not may_pass(answer) or attempt == tries:
                    return answer
                asked = retry_after(answer.headers)
                if time.monotonic() - started + max(wait, asked) > self.settings.patience:
                    return answer
                asked = asked or said_wait(answer)
                answer.close()
                if asked:  # of all of us, not of this request alone
                    self._not_before[place] = time.monotonic() + max(wait, asked)
                    continue
            time.sleep(wait)
        raise AssertionError("unreachable")

    def _hold_off(self, place: str, started: float) -> None:
        """Wait where a registry has told one of our requests to come back later."""
        now = time.monotonic()
        wait = self._not_before.get(place, 0.0) - now
        if wait > 0 and now - started + wait <= self.settings.patience:
            time.sleep(wait)

    def _follow(self, request: Request, timeout: float | None) -> Answer:
        """Send a request to where it is redirected; off its host, and after, without credential."""
        url, authorization = request.url, request.authorization
        for _ in range(_REDIRECT_LIMIT):
            answer = self._send(request, url, authorization, timeout)
            location = answer.headers.get("Location")
            if answer.status not in _REDIRECTS or not request.follow:
                return answer
            if not location:
                return answer
            answer.close()
            url = join(url, location)
            if origin(request.url)[0] == "https" and origin(url)[0] != "https":
                raise InsecureTransport(
                    f"{shown(request.url)} redirects from https to {shown(url)}"
                )
            if origin(url) != origin(request.url):
                authorization = None
        raise RegistryError(f"{shown(request.url)} redirects without end")

    def _send(
        self, request: Request, url: str, authorization: str | None, timeout: float | None
    ) -> Answer:
        self._check_secure(url, authorization)
        headers = {
            "User-Agent": self.settings.user_agent,
            "Accept-Encoding": "identity",
            "Accept": "*/*",
            **request.headers,
        }
        prepared = requests.PreparedRequest()
        settings = self.settings
        trusted, identity = self._certificates.of(split(url).netloc.lower())
        try:
            prepared.prepare(request.method, url, headers=headers, data=request.body)
            if url.isascii() and url.isprintable() and " " not in url:
                prepared.url = url  # requests would normalise what the server may have signed
            prepared.headers.pop("Authorization", None)
            if authorization:
                prepared.headers["Authorization"] = authorization
            response = self._adapter.send(
                prepared,
                stream=True,
                timeout=(timeout or settings.connect_timeout, timeout or settings.read_timeout),
                verify=trusted,
                cert=identity,
                # Loopback is this machine: behind a proxy it would be another.
                proxies={} if is_loopback(split(url).netloc) else _proxies(url),
            )
        except _BROKEN as error:
            self._log(request.method, url, reason(error))
            raise
        except (requests.RequestException, UnicodeError) as error:
            raise RegistryError(f"{shown(url)}: {reason(error)}") from None
        self._log(request.method, url, str(response.status_code))
        answer = Answer(response)
        self._heed(answer)
        return answer

    def _heed(self, answer: Answer) -> None:
        """Pass on what a registry warns of, each thing once."""
        warn = self.settings.warn
        for text in answer.warnings if warn else ():
            words = f"{split(answer.url).netloc}: {text}"
            if warn and words not in self._warned and len(self._warned) < _WARNINGS:
                self._warned.add(words)
                warn(words)

    def _log(self, method: str, url: str, outcome: str) -> None:
        if self.settings.log:
            self.settings.log(f"{method} {shown(url)} -> {outcome}")

    def _check_secure(self, url: str, authorization: str | None) -> None:
        parts = split(url)
        host = parts.netloc.rpartition("@")[2]
        if parts.scheme == "https":
            return
        if not self._may_be_plain(host):
            raise InsecureTransport(f"{host} would be spoken to over plain http")
        if authorization and not is_loopback(host):
            raise InsecureTransport(
                f"a credential would go to {host} over plain http",
                hint="use https, or `ebpm logout` to go without a credential",
            )


def _host_of(error: requests.RequestException, url: str) -> str:
    """Tell which host could not be reached: a redirect may have led elsewhere."""
    asked = error.request.url if error.request is not None else None
    return split(asked or url).netloc.rpartition("@")[2]


def _proxies(url: str) -> dict[str, str]:
    """Look up HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY as curl does."""
    return dict(requests.utils.get_environ_proxies(url))
