"""libbpf's objects as Python's: open, load, attach, look up, close.

Every failure is an :class:`LibbpfError` with the errno; the rooms above turn it into words.
"""

from __future__ import annotations

import ctypes
import errno
import os

from ebpm.errors import LibbpfMissing
from ebpm.runtime.libbpf.prototypes import PROTOTYPES, PrintFunction
from ebpm.runtime.libbpf.structs import LinkCreateOptions, OpenOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

BUNDLED = os.path.join(os.path.dirname(__file__), "native", "libbpf.so")
"""Ours, made by scripts/native: in wheels of a platform, and in a checkout where it was made."""
SYSTEM = "libbpf.so.1"
WARN, INFO, DEBUG = 0, 1, 2
_LINE_LIMIT = 4096
_LOG_LIMIT = 1 << 24  # what the kernel's verifier may write; libbpf passes it on in one call


class LibbpfError(OSError):
    """A call failed: ``errno`` (libbpf's own begin at 4000), ``call`` is the C function."""

    def __init__(self, number: int, call: str, text: str) -> None:
        super().__init__(number, text)
        self.call = call


class Libbpf:
    """A loaded libbpf.

    Args:
        path: of the shared library; None for the bundled one, or else the system's.

    Raises:
        LibbpfMissing: there is none, or one older than 1.0.
    """

    def __init__(self, path: str | None = None) -> None:
        try:
            self.path, self._library = _open(path)
            major = self._library.libbpf_major_version
        except OSError as error:
            raise LibbpfMissing(f"libbpf cannot be loaded: {error}") from None
        except AttributeError:
            raise LibbpfMissing(f"{self.path} is older than libbpf 1.0") from None
        if major() < 1:
            raise LibbpfMissing(f"{self.path} is older than libbpf 1.0")
        self._log: Callable[[int, str], None] = lambda _level, _line: None
        self._log_level = WARN
        self._print = PrintFunction(self._printed)  # kept: libbpf holds no reference
        self.function("libbpf_set_print")(self._print)

    def function(self, name: str) -> Any:  # noqa: ANN401  # a foreign function
        """Get a C function with its prototype set.

        Raises:
            LibbpfError: EOPNOTSUPP, this libbpf is too old to have it.
        """
        try:
            found = getattr(self._library, name)  # kept by ctypes: lib["name"] would be a new one
        except AttributeError:
            text = f"{self.path} is too old to have {name}"
            raise LibbpfError(errno.EOPNOTSUPP, name, text) from None
        if found.argtypes is None:
            found.restype, found.argtypes = PROTOTYPES[name]
        return found

    @property
    def version(self) -> str:
        """The version, as ``v1.1``."""
        return str(self.function("libbpf_version_string")().decode())

    @property
    def usdt_spec_size(self) -> int:
        """The value size of ``__bpf_usdt_specs`` that it fills in: the layout changed with 1.7."""
        return 304 if self.version_numbers >= (1, 7) else 208

    @property
    def version_numbers(self) -> tuple[int, int]:
        """The version's first two numbers."""
        return self.function("libbpf_major_version")(), self.function("libbpf_minor_version")()

    @property
    def possible_cpus(self) -> int:
        """How many values an entry of a per-CPU map has."""
        return self.check("libbpf_num_possible_cpus")

    def capture(self, log: Callable[[int, str], None], level: int) -> None:
        """Send libbpf's log lines of a level (WARN, INFO, DEBUG) and below to a function."""
        self._log, self._log_level = log, level

    def _printed(self, level: int, form: int, arguments: int) -> int:
        if level <= self._log_level:
            # The verifier's whole log comes as one argument of one line.
            whole = b" LOAD LOG --" in ctypes.string_at(form)
            buffer = ctypes.create_string_buffer(_LOG_LIMIT if whole else _LINE_LIMIT)
            _vsnprintf()(buffer, len(buffer), form, arguments)
            self._log(level, buffer.value.decode("utf-8", "replace").rstrip("\n"))
        return 0

    def check(self, name: str, *arguments: Any) -> int:  # noqa: ANN401
        """Call a function that returns a negative errno on failure."""
        result = self.function(name)(*arguments)
        if result < 0:
            raise LibbpfError(-result, name, self.text_of(-result))
        return int(result)

    def pointer(self, name: str, *arguments: Any) -> Any:  # noqa: ANN401
        """Call a function that returns NULL and sets errno on failure."""
        ctypes.set_errno(0)
        result = self.function(name)(*arguments)
        if not result:
            number = ctypes.get_errno()
            raise LibbpfError(number, name, self.text_of(number))
        return result

    def text_of(self, number: int) -> str:
        """Say an errno, or one of libbpf's own codes, in words."""
        if number < 4000:
            return os.strerror(number)
        buffer = ctypes.create_string_buffer(256)
        self.function("libbpf_strerror")(number, buffer, len(buffer))
        return buffer.value.decode()


def _open(path: str | None) -> tuple[str, ctypes.CDLL]:
    if path is None:
        try:
            return BUNDLED, ctypes.CDLL(BUNDLED, use_errno=True)
        except OSError:  # there is none, or one for another machine
            path = SYSTEM
    return path, ctypes.CDLL(path, use_errno=True)


def _vsnprintf() -> Any:  # noqa: ANN401
    function = ctypes.CDLL(None).vsnprintf
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p]
    return function


class BpfObject:
    """``struct bpf_object``: opened from memory; the kernel knows of it only after :meth:`load`.

    Args:
        library: libbpf.
        data: the ELF file.
        name: of the object; internal maps are named after it.
        btf_path: BTF to relocate against instead of the running kernel's.
        pin: let maps that ask for it be pinned below /sys/fs/bpf.
    """

    def __init__(
        self,
        library: Libbpf,
        data: bytes,
        name: str,
        btf_path: str | None = None,
        *,
        pin: bool = False,
    ) -> None:
        self.library = library
        self._data = data  # libbpf copies what it needs; kept for as long as it may not have
        options = OpenOptions(
            sz=ctypes.sizeof(OpenOptions),
            object_name=name.encode(),
            btf_custom_path=os.fsencode(btf_path) if btf_path else None,
        )
        call = "bpf_object__open_mem"
        self._handle = library.pointer(call, data, len(data), ctypes.byref(options))
        for one in [] if pin else self.maps():  # nothing is pinned that nobody asked for
            library.check("bpf_map__set_pin_path", one._handle, None)  # noqa: SLF001

    def programs(self) -> list[Program]:
        """List the programs in the object's order."""
        handles = self._walk("bpf_object__next_program")
        return [Program(self, handle) for handle in handles]

    def maps(self) -> list[Map]:
        """List the maps, internal ones included."""
        return [Map(self.library, handle) for handle in self._walk("bpf_object__next_map")]

    def map(self, name: str) -> Map | None:
        """Find a map by its name, or a data section's by the section's."""
        find = self.library.function("bpf_object__find_map_by_name")
        handle = find(self._handle, name.encode())
        return Map(self.library, handle) if handle else None

    def _walk(self, name: str) -> list[Any]:
        found, handle = [], None
        step = self.library.function(name)
        while handle := step(self._handle, handle):
            found.append(handle)
        return found

    def load(self) -> None:
        """Create the maps and load the programs."""
        self.library.check("bpf_object__load", self._handle)

    def close(self) -> None:
        """Close it; programs that nothing holds are unloaded. May be called twice."""
        if self._handle:
            self.library.function("bpf_object__close")(self._handle)
            self._handle = None


class Program:
    """``struct bpf_program`` of an object that is open."""

    def __init__(self, owner: BpfObject, handle: Any) -> None:  # noqa: ANN401
        self.owner = owner
        self.library = self._library = library = owner.library
        self._handle = handle
        self.name: str = library.function("bpf_program__name")(handle).decode()
        self.section: str = library.function("bpf_program__section_name")(handle).decode()

    @property
    def fd(self) -> int:
        """The file descriptor; the program must be loaded."""
        return self._library.check("bpf_program__fd", self._handle)

    @property
    def type(self) -> int:
        """The ``enum bpf_prog_type``; 0 where libbpf does not know the section."""
        return int(self._library.function("bpf_program__type")(self._handle))

    @property
    def attach_type(self) -> int:
        """The ``enum bpf_attach_type`` that it is loaded for."""
        return int(self._library.function("bpf_program__expected_attach_type")(self._handle))

    def set_type(self, section: str) -> bool:
        """Have it loaded as programs of a section are; False if libbpf does not know the section.

        The object must not be loaded yet.
        """
        kind, attach_type = ctypes.c_int(), ctypes.c_int()
        find = self._library.function("libbpf_prog_type_by_name")
        if find(section.encode(), ctypes.byref(kind), ctypes.byref(attach_type)) < 0:
            return False
        self.set("bpf_program__set_type", kind)
        self.set("bpf_program__set_expected_attach_type", attach_type)
        return True

    def leave_out(self) -> None:
        """Do not load it with the object."""
        self.set("bpf_program__set_autoload", False)

    def attach(self) -> Link:
        """Attach to what the section's name says."""
        return self.link("bpf_program__attach")

    def link(self, function: str, *arguments: Any) -> Link:  # noqa: ANN401
        """Attach by one of libbpf's functions that return a link."""
        return Link(self._library, self._library.pointer(function, self._handle, *arguments))

    def set(self, function: str, *arguments: Any) -> None:  # noqa: ANN401
        """Tell libbpf something of the program; only before the load."""
        self._library.check(function, self._handle, *arguments)

    def attach_link(self, target: int, attach_type: int, flags: int) -> LinkDescriptor:
        """Attach by BPF_LINK_CREATE, to an interface index or a file descriptor (Linux 5.9)."""
        options = LinkCreateOptions(sz=ctypes.sizeof(LinkCreateOptions), flags=flags)
        arguments = (self.fd, target, attach_type, ctypes.byref(options))
        return LinkDescriptor(self._library.check("bpf_link_create", *arguments))


class Link:
    """``struct bpf_link``: an attachment that ends with :meth:`close` or with the process."""

    def __init__(self, library: Libbpf, handle: Any) -> None:  # noqa: ANN401
        self._library = library
        self._handle = handle

    @property
    def fd(self) -> int:
        """The file descriptor of the kernel's link."""
        return self._library.check("bpf_link__fd", self._handle)

    def close(self) -> None:
        """Detach. May be called twice."""
        if self._handle:
            self._library.function("bpf_link__destroy")(self._handle)
            self._handle = None


class LinkDescriptor:
    """A bpf_link known by its file descriptor alone."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def close(self) -> None:
        """Detach. May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Map:
    """``struct bpf_map`` of an object that is open."""

    def __init__(self, library: Libbpf, handle: Any) -> None:  # noqa: ANN401
        self.library = self._library = library
        self.handle = self._handle = handle
        self.name: str = library.function("bpf_map__name")(handle).decode()

    @property
    def fd(self) -> int:
        """The file descriptor; the object must be loaded."""
        return self._library.check("bpf_map__fd", self._handle)

    @property
    def type(self) -> int:
        """The ``enum bpf_map_type``."""
        return int(self._library.function("bpf_map__type")(self._handle))

    @property
    def flags(self) -> int:
        """BPF_F_*: those of the definition, before the load."""
        return int(self._library.function("bpf_map__map_flags")(self._handle))

    @property
    def max_entries(self) -> int:
        """The capacity; bytes for a ring buffer."""
        return int(self._library.function("bpf_map__max_entries")(self._handle))

    def resize(self, entries: int) -> None:
        """Set the capacity, before the load; libbpf rounds a ring buffer's up to whole pages."""
        self._library.check("bpf_map__set_max_entries", self._handle, entries)

    @property
    def key_size(self) -> int:
        """Bytes of a key; 0 for queues and stacks."""
        return int(self._library.function("bpf_map__key_size")(self._handle))

    @property
    def value_size(self) -> int:
        """Bytes of a value; of one CPU's, where each has its own."""
        return int(self._library.function("bpf_map__value_size")(self._handle))

    def possible_cpus(self) -> int:
        """Count the CPUs that a per-CPU map has values for."""
        return self._library.check("libbpf_num_possible_cpus")

    def call(self, name: str, *arguments: Any) -> int:  # noqa: ANN401
        """Call one of libbpf's bpf_map_… functions with the descriptor first."""
        return self._library.check(name, self.fd, *arguments)

    def initial_value(self) -> InitialValue | None:
        """Get at a data section's bytes before it is loaded; None for other maps."""
        size = ctypes.c_size_t()
        get = self._library.function("bpf_map__initial_value")
        address = get(self._handle, ctypes.byref(size))
        return InitialValue(address, size.value) if address else None

    def lookup(self, key: bytes) -> bytes:
        """Read an entry; a data section's only entry has the key 0, of four bytes."""
        value = ctypes.create_string_buffer(self.value_size)
        self._library.check("bpf_map_lookup_elem", self.fd, key, value)
        return value.raw

    def update(self, key: bytes | None, value: bytes, flags: int = 0) -> None:
        """Put an entry in; queues, stacks and bloom filters have no keys."""
        self._library.check("bpf_map_update_elem", self.fd, key, value, flags)


class InitialValue:
    """The memory that a data section will be loaded from."""

    def __init__(self, address: int, size: int) -> None:
        self._address = address
        self.size = size

    def read(self, offset: int, size: int) -> bytes:
        """Read bytes."""
        self._check(offset, size)
        return ctypes.string_at(self._address + offset, size)

    def write(self, offset: int, data: bytes) -> None:
        """Write bytes."""
        self._check(offset, len(data))
        ctypes.memmove(self._address + offset, data, len(data))

    def _check(self, offset: int, size: int) -> None:
        if offset < 0 or offset + size > self.size:
            raise ValueError(f"bytes {offset} to {offset + size} of a section of {self.size}")
