"""HTTP to registries: the only user of requests.

What this layer promises to those above: no credential reaches another host or plain http beyond
loopback; nothing hangs for ever; only what may be repeated is repeated; bytes are as they were sent
(no content decoding, no cookies, no netrc).
"""

from __future__ import annotations

import email.utils
import ipaddress
import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter

from ebpm.errors import InsecureTransport, RegistryError, RegistryUnreachable

_TIMEOUTS = (10.0, 60.0)  # seconds: to connect, between bytes
_TRIES = 5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 30.0
_DEADLINE = 180.0  # seconds that pauses may add up to
_RETRY_STATUSES = frozenset((408, 429, 500, 502, 503, 504))
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_REDIRECT_LIMIT = 10
_BROKEN = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
    urllib3.exceptions.ProtocolError,
    urllib3.exceptions.ReadTimeoutError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """What the user decides about connections."""

    plain_http: Collection[str] = ()  # hosts that may be spoken to without TLS
    ca_file: str | None = None
    user_agent: str = "ebpm"
    log: Callable[[str], None] | None = field(default=None, repr=False)  # one line a request


class Http:
    """A pool of connections to any host."""

    def __init__(self, settings: HttpSettings) -> None:
        self.settings = settings
        self._session = requests.Session()
        self._session.trust_env = False  # no netrc; proxies are looked up below
        self._session.cookies.set_policy(_NoCookies())
        adapter = HTTPAdapter(pool_connections=8, pool_maxsize=8)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, adapter)

    def base_url(self, host: str) -> str:
        """Tell how a registry is reached: https, or http on loopback or where it was allowed."""
        plain = host in self.settings.plain_http or is_loopback(host)
        return f"{'http' if plain else 'https'}://{host}"

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] | None = None,
        authorization: str | None = None,
        follow: bool = True,
    ) -> requests.Response:
        """Send a request and give its answer, whatever its status; the body is not read yet.

        What may be repeated is: GET and HEAD, and anything whose body is bytes, after a broken
        connection or one of the statuses that ask for it.

        Args:
            method: GET, HEAD, PUT, POST, PATCH, DELETE.
            url: absolute.
            headers: beside ours.
            body: bytes, or a sized iterable that is read once.
            authorization: goes to the host of ``url`` and to no other.
            follow: redirects of GET and HEAD, without the authorization on another host.

        Raises:
            RegistryUnreachable: no connection, after all tries.
            InsecureTransport: plain http to a host for which it was not allowed.
        """
        repeatable = body is None or isinstance(body, bytes)
        started = time.monotonic()
        for attempt in range(1, _TRIES + 1):
            last = attempt == _TRIES or not repeatable
            try:
                answer = self._follow(method, url, headers, body, authorization, follow)
            except _BROKEN as error:
                # A refused port or an unknown name will not be there in a second either.
                if last or _hopeless(error):
                    raise _unreachable(url, error) from None
                pause = _pause(attempt)
            else:
                if answer.status_code not in _RETRY_STATUSES or last:
                    return answer
                pause = _retry_after(answer) or _pause(attempt)
                answer.close()
            if time.monotonic() - started + pause > _DEADLINE:
                raise RegistryError(f"{_host(url)} asks to wait {pause:.0f} s; giving up")
            time.sleep(pause)
        raise AssertionError("unreachable")

    def _follow(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: bytes | Iterable[bytes] | None,
        authorization: str | None,
        follow: bool,
    ) -> requests.Response:
        origin = urlsplit(url)
        for _ in range(_REDIRECT_LIMIT):
            here = urlsplit(url)
            same = (here.scheme, here.netloc) == (origin.scheme, origin.netloc)
            answer = self._send(method, url, headers, body, authorization if same else None)
            if not follow or answer.status_code not in _REDIRECTS or method not in ("GET", "HEAD"):
                return answer
            location = answer.headers.get("Location")
            if not location:
                return answer
            answer.close()
            url = urljoin(url, location)
            if origin.scheme == "https" and urlsplit(url).scheme != "https":
                raise InsecureTransport(f"{origin.netloc} redirects from https to {url[:200]}")
        raise RegistryError(f"{origin.netloc} redirects without end")

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: bytes | Iterable[bytes] | None,
        authorization: str | None,
    ) -> requests.Response:
        self._check_secure(url)
        sent = {
            "User-Agent": self.settings.user_agent,
            "Accept-Encoding": "identity",
            "Accept": "*/*",
            **(headers or {}),
        }
        if authorization:
            if url.startswith("http:") and not is_loopback(_host(url)):
                raise InsecureTransport(
                    f"a credential would go to {_host(url)} over plain http",
                    hint="use https, or `ebpm logout` to go without a credential",
                )
            sent["Authorization"] = authorization
        answer = self._session.request(
            method,
            url,
            headers=sent,
            data=body,
            timeout=_TIMEOUTS,
            stream=True,
            allow_redirects=False,
            verify=self.settings.ca_file or True,
            proxies=requests.utils.get_environ_proxies(url),
        )
        if self.settings.log:
            self.settings.log(f"{method} {_without_query(url)} -> {answer.status_code}")
        return answer

    def _check_secure(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme == "https":
            return
        if parts.scheme != "http":
            raise RegistryError(f"{url[:200]!r} is not an http address")
        if parts.netloc not in self.settings.plain_http and not is_loopback(parts.netloc):
            raise InsecureTransport(f"{parts.netloc} would be spoken to over plain http")


class _NoCookies(requests.cookies.cookielib.DefaultCookiePolicy):  # type: ignore[name-defined, misc]
    """A registry that sees a cookie may take the client for a browser (Harbor's CSRF check)."""

    def set_ok(self, *_: Any) -> bool:  # noqa: ANN401
        return False

    def return_ok(self, *_: Any) -> bool:  # noqa: ANN401
        return False


class SizedBody:
    """A body of known length that is read once; sent without chunked encoding."""

    def __init__(self, chunks: Iterable[bytes], size: int) -> None:
        self._chunks = chunks
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def __bool__(self) -> bool:
        return True  # requests takes what is false for no body


def is_loopback(netloc: str) -> bool:
    """Whether a host, with or without port, is this machine."""
    host = urlsplit(f"//{netloc}").hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _pause(attempt: int) -> float:
    """Double from try to try, with half of it left to chance so that clients do not march."""
    whole = min(_FIRST_PAUSE * 2.0 ** (attempt - 1), _LONGEST_PAUSE)
    return whole * (0.5 + random.random() / 2)  # noqa: S311  # not a secret


def _retry_after(answer: requests.Response) -> float | None:
    """Read Retry-After: seconds or a date (RFC 9110 §10.2.3)."""
    text = str(answer.headers.get("Retry-After", ""))
    if text.isdecimal():
        return min(float(text), _DEADLINE + 1)
    try:
        moment: float = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError):
        return None
    return max(0.0, moment - time.time())


def _hopeless(error: Exception) -> bool:
    """Whether trying again cannot help: nothing listens, the name is unknown, TLS is refused."""
    if isinstance(error, requests.exceptions.SSLError | requests.exceptions.ProxyError):
        return True
    text = repr(error)
    return any(sign in text for sign in ("Connection refused", "NameResolutionError", "No route"))


def _unreachable(url: str, error: Exception) -> RegistryUnreachable:
    reason = "no answer in time" if isinstance(error, requests.Timeout) else _reason(error)
    return RegistryUnreachable(f"cannot reach {_host(url)}: {reason}")


def _reason(error: BaseException) -> str:
    """Dig the innermost cause out of the wrappers of requests and urllib3."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = getattr(error, "reason", None) or error.__cause__ or error.__context__
        if not inner and error.args and isinstance(error.args[0], BaseException):
            inner = error.args[0]
        if isinstance(inner, BaseException):
            error = inner
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _without_query(url: str) -> str:
    """Leave out what may hold a signature or a token."""
    return url.partition("?")[0]
