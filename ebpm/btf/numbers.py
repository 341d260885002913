"""Names of the kernel's numbers: system calls, signals and errors, as they are on this machine.

On the path of ``ebpm run``, imported when such a number is first shown. The tables of other
machines are never looked at: a record is of the kernel that made it.
"""

from __future__ import annotations

from ebpm.btf.layout import ERRNO, RESULT, SIGNAL, SYSCALL

_SIGNALS = (  # signal(7): the same on all machines that Linux has BPF compilers for but MIPS
    "SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 "
    "SIGPIPE SIGALRM SIGTERM SIGSTKFLT SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG "
    "SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGIO SIGPWR SIGSYS"
)
_REAL_TIME = 32  # the first signal without a meaning; the C library keeps two for itself
_LAST_SIGNAL = 64
_PREFERRED = ("EAGAIN", "EDEADLK", "EOPNOTSUPP")  # of several names of one number
_KERNEL_ERRORS = {  # include/linux/errno.h: what a tracepoint sees, and a process never
    512: "ERESTARTSYS",
    513: "ERESTARTNOINTR",
    514: "ERESTARTNOHAND",
    515: "ENOIOCTLCMD",
    516: "ERESTART_RESTARTBLOCK",
    517: "EPROBE_DEFER",
    524: "ENOTSUPP",
}
_known: dict[str, dict[int, str]] = {}


def number_name(kind: str, number: int) -> str | None:
    """Name a number: ``openat``, ``SIGTERM``, ``ENOENT``; None for one that has no name.

    Args:
        kind: SYSCALL, SIGNAL, ERRNO (positive) or RESULT (a negative errno, or no error).
        number: of that kind.
    """
    if kind == RESULT:
        return _names(ERRNO).get(-number) if number < 0 else None
    return _names(kind).get(number)


def number_text(kind: str, number: int) -> str:
    """Write a number for people: its name, else its digits."""
    return number_name(kind, number) or str(number)


def number_of(kind: str, text: str) -> int:
    """Find the number of a name; of a signal, also without SIG; letters of either case.

    Raises:
        ValueError: there is none; the text says which are near.
    """
    wanted = text.lower() if kind == SYSCALL else text.upper()
    numbers = {name: number for number, name in _names(kind).items()}
    if kind == SIGNAL and not wanted.startswith("SIG"):
        wanted = f"SIG{wanted}"
    if wanted in numbers:
        return -numbers[wanted] if kind == RESULT else numbers[wanted]
    from difflib import get_close_matches

    what = {SYSCALL: "system call of this machine", SIGNAL: "signal"}.get(kind, "error")
    near = get_close_matches(wanted, numbers, 1)
    raise ValueError(f"{text!r} is no {what}" + (f"; did you mean {near[0]}?" if near else ""))


def names_of(kind: str) -> dict[int, str]:
    """List all numbers of a kind that have names."""
    if kind == RESULT:
        return {-number: name for number, name in _names(ERRNO).items()}
    return dict(_names(kind))


def _names(kind: str) -> dict[int, str]:
    kind = ERRNO if kind == RESULT else kind
    if kind not in _known:
        _known[kind] = {SYSCALL: _syscalls, SIGNAL: _signals, ERRNO: _errors}[kind]()
    return _known[kind]


def _syscalls() -> dict[int, str]:
    import os

    from ebpm.btf.syscalls import MACHINES, TABLES

    names: dict[int, str] = {}
    for line in TABLES.get(MACHINES.get(os.uname().machine, ""), "").split("\n"):
        first, *calls = line.split() or ["0"]
        names.update(enumerate(calls, int(first)))
    return names


def _signals() -> dict[int, str]:
    names = dict(enumerate(_SIGNALS.split(), 1))
    for number in range(_REAL_TIME, _LAST_SIGNAL + 1):
        names[number] = f"SIGRT_{number - _REAL_TIME}"  # strace(1)'s name: the kernel's count
    return names


def _errors() -> dict[int, str]:
    import errno

    names = {**errno.errorcode, **_KERNEL_ERRORS}
    names.update({getattr(errno, name): name for name in _PREFERRED})
    return names
