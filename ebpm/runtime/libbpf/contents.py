"""All entries of a map, in chunks: by batches where the kernel has them (Linux 5.6), else by keys.

An entry that vanishes meanwhile is skipped, and none comes twice. Time is linear in the entries;
memory is that of a chunk, and of the keys where there are no batches.
"""

from __future__ import annotations

import ctypes
import errno
import struct
import sys

from ebpm.runtime.libbpf.binding import LibbpfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from ebpm.runtime.libbpf.binding import Map

    Chunk: TypeAlias = tuple[int, bytes, bytes]

HASH, ARRAY, PERCPU_HASH, PERCPU_ARRAY, STACK_TRACE = 1, 2, 5, 6, 7
LRU_HASH, LRU_PERCPU_HASH, LPM_TRIE = 9, 10, 11
QUEUE, STACK = 22, 23
"""``enum bpf_map_type`` (include/uapi/linux/bpf.h)."""
PER_CPU = (PERCPU_HASH, PERCPU_ARRAY, LRU_PERCPU_HASH)
ARRAYS = (ARRAY, PERCPU_ARRAY)
_HASHES = (HASH, PERCPU_HASH, LRU_HASH, LRU_PERCPU_HASH)
_CHUNK, _CHUNK_BYTES = 1024, 1 << 20  # at most so many entries, in about so many bytes
_GONE, _UNKNOWN = (errno.ENOENT,), (errno.EINVAL, errno.ENOTSUP, 524, errno.EPERM)


class Contents:
    """The entries of a map.

    Args:
        table: a map of the object, loaded.

    An entry has ``cpus`` values, each ``each`` bytes from the last (the kernel rounds those of a
    CPU up to 8), which are ``stride`` bytes together.
    """

    def __init__(self, table: Map) -> None:
        self._table = table
        self._type = table.type
        self.key_size, self.value_size = table.key_size, table.value_size
        per_cpu = self._type in PER_CPU
        self.cpus = table.possible_cpus() if per_cpu else 1
        self.each = (self.value_size + 7) // 8 * 8 if per_cpu else self.value_size
        self.stride = self.each * self.cpus
        self._batches = self._type in _HASHES or self._type in ARRAYS

    def read(self, *, take: bool = False) -> Iterator[Chunk]:
        """Walk the entries: how many, their keys, their values.

        Args:
            take: empty the map on the way; what is counted meanwhile stays for the next time.
                An array's entries are zeroed.
        """
        if self._type in (QUEUE, STACK):
            yield from self._elements(take=take)
            return
        if self._batches:
            started = False
            try:
                for chunk in self._by_batches(take=take and self._type in _HASHES):
                    started = True
                    yield chunk
                    if take and self._type in ARRAYS:
                        self._zero(chunk)
                return
            except LibbpfError as error:
                if started or error.errno not in _UNKNOWN:
                    raise
                self._batches = False  # this kernel has none for this type of map
        yield from self._by_keys(take=take)

    def _by_batches(self, *, take: bool) -> Iterator[Chunk]:
        size = self.key_size + self.stride
        most = self._table.max_entries
        length = min(most, _CHUNK, max(_CHUNK_BYTES // size, 1))
        call = "bpf_map_lookup_and_delete_batch" if take else "bpf_map_lookup_batch"
        before = None
        token = ctypes.create_string_buffer(max(self.key_size, 8))  # where the next batch begins
        while True:
            keys = ctypes.create_string_buffer(length * self.key_size)
            values = ctypes.create_string_buffer(length * self.stride)
            count = ctypes.c_uint32(length)
            last = False
            try:
                self._table.call(call, before, token, keys, values, ctypes.byref(count), None)
            except LibbpfError as error:
                if error.errno == errno.ENOSPC and length < most:  # a bucket has more than that
                    length = min(length * 2, most)
                    continue
                if error.errno not in _GONE:
                    raise
                last = True
            if count.value:
                held = count.value
                yield held, keys.raw[: held * self.key_size], values.raw[: held * self.stride]
            if last:
                return
            before = ctypes.create_string_buffer(token.raw, len(token))

    def _by_keys(self, *, take: bool) -> Iterator[Chunk]:
        """Walk by keys. Where one is gone, the kernel begins again: seen ones are passed over."""
        length = min(_CHUNK, max(_CHUNK_BYTES // (self.key_size + self.stride), 1))
        keys: list[bytes] = []
        values: list[bytes] = []
        for key in list(self._keys()) if take else self._keys():
            value = self._lookup(key)
            if value is None:
                continue
            if take:
                self._clear(key)
            keys.append(key)
            values.append(value)
            if len(keys) == length:
                yield length, b"".join(keys), b"".join(values)
                keys, values = [], []
        if keys:
            yield len(keys), b"".join(keys), b"".join(values)

    def _keys(self) -> Iterator[bytes]:
        seen: set[bytes] = set()
        key: bytes | None = None
        following = ctypes.create_string_buffer(self.key_size)
        for _ in range(2 * self._table.max_entries + 1):
            try:
                self._table.call("bpf_map_get_next_key", key, following)
            except LibbpfError as error:
                if error.errno in _GONE:
                    return
                raise
            key = following.raw
            if key not in seen:
                seen.add(key)
                yield key

    def _lookup(self, key: bytes) -> bytes | None:
        value = ctypes.create_string_buffer(self.stride)
        try:
            self._table.call("bpf_map_lookup_elem", key, value)
        except LibbpfError as error:
            if error.errno in _GONE:
                return None
            raise
        return value.raw

    def _clear(self, key: bytes) -> None:
        try:
            if self._type in ARRAYS:
                self._table.call("bpf_map_update_elem", key, bytes(self.stride), 0)
            else:
                self._table.call("bpf_map_delete_elem", key)
        except LibbpfError as error:
            if error.errno not in _GONE:
                raise

    def _zero(self, chunk: Chunk) -> None:
        count, keys, values = chunk
        nothing = bytes(self.stride)
        for at in range(count):
            if values[at * self.stride : (at + 1) * self.stride] != nothing:
                self._clear(keys[at * self.key_size : (at + 1) * self.key_size])

    def _elements(self, *, take: bool) -> Iterator[Chunk]:
        """Pop everything off a queue or a stack; or look at what is to come next."""
        value = ctypes.create_string_buffer(self.stride)
        call = "bpf_map_lookup_and_delete_elem" if take else "bpf_map_lookup_elem"
        for _ in range(self._table.max_entries if take else 1):
            try:
                self._table.call(call, None, value)
            except LibbpfError as error:
                if error.errno in _GONE:
                    return
                raise
            yield 1, b"", value.raw


def stack_addresses(table: Map, number: int) -> list[int]:
    """Look a stack up by its id in a stack-trace map; nothing if it is not there any more."""
    try:
        value = table.lookup(number.to_bytes(4, sys.byteorder))
    except LibbpfError as error:
        if error.errno in _GONE:
            return []
        raise
    addresses = struct.unpack(f"={len(value) // 8}Q", value[: len(value) // 8 * 8])
    return list(addresses[: next((at for at, one in enumerate(addresses) if not one), None)])
