"""What goes wrong between a client and a server: what it was, whether to try again, and when."""

from __future__ import annotations

import email.utils
import errno
import random
import re
import socket
import time
from collections.abc import Iterator, Mapping

import requests

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 30.0  # seconds
_FINAL = frozenset((errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH))


def pause(attempt: int) -> float:
    """Double from try to try, with half of it left to chance so that clients do not march."""
    whole = min(_FIRST_PAUSE * 2.0 ** (attempt - 1), _LONGEST_PAUSE)
    return whole * (0.5 + random.random() / 2)  # noqa: S311  # not a secret


def retry_after(headers: Mapping[str, str]) -> float:
    """Read Retry-After: seconds or a date (RFC 9110 §10.2.3); 0 where there is none."""
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return max(0.0, moment - time.time())


def is_final(error: Exception) -> bool:
    """Whether trying again cannot help: nothing listens, the name is unknown, TLS is refused."""
    if isinstance(error, requests.exceptions.SSLError | requests.exceptions.ProxyError):
        return True
    return any(
        isinstance(one, socket.gaierror) or (isinstance(one, OSError) and one.errno in _FINAL)
        for one in _causes(error)
    )


def reason(error: BaseException) -> str:
    """Say what happened in the words of the innermost cause."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    *_, last = _causes(error)
    if isinstance(last, TimeoutError):
        return "no answer in time"
    return (isinstance(last, OSError) and last.strerror) or str(last) or type(last).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Dig through the wrappers of requests and urllib3."""
    seen: list[BaseException] = []
    inner: object = error
    while isinstance(inner, BaseException) and inner not in seen:
        seen.append(inner)
        yield inner
        wrapped = [inner.__cause__, getattr(inner, "reason", None), *inner.args, inner.__context__]
        inner = next((one for one in wrapped if isinstance(one, BaseException)), None)
