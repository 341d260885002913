"""What a Python tool does with libbpf: a callback for each event, which decodes and prints it.

callback.py LIBBPF OBJECT PID SIZE OFFSET_OF_LOST
"""

from __future__ import annotations

import ctypes
import signal
import struct
import sys
import time

path, source, pid, size, lost_at = sys.argv[1:]
FORMS = {"24": "=QIIQ", "64": "=QIIQ16sIiQQ", "300": "=QIIiI16s260s"}
unpack = struct.Struct(FORMS[size]).unpack_from
pointer = ctypes.c_void_p
library = ctypes.CDLL(path)
for name in ("open_file", "next_program", "find_map_by_name"):
    getattr(library, f"bpf_object__{name}").restype = pointer
for name in ("bpf_map__initial_value", "bpf_program__attach", "ring_buffer__new"):
    getattr(library, name).restype = pointer
stopped = False


def stop(*_):
    global stopped  # noqa: PLW0603
    stopped = True


def text(data):
    return data.split(b"\0", 1)[0].decode("utf-8", "replace")


def show(_context, data, length):
    fields = unpack(ctypes.string_at(data, length))
    clock = time.strftime("%H:%M:%S")
    if size == "24":
        ts, one, cpu, seq = fields
        print(f"{clock}  {ts:<6} {one:<7} {cpu:<7} {seq}")
    elif size == "64":
        ts, one, tid, seq, comm, uid, ret, a, b = fields
        print(
            f"{clock}  {ts:<6} {one:<7} {tid:<7} {seq:<7} {text(comm):<7} "
            f"{uid:<7} {ret:<7} {a:<7} {b}"
        )
    else:
        ts, one, uid, ret, flags, comm, fname = fields
        print(
            f"{clock}  {ts:<6} {one:<7} {uid:<7} {ret:<7} {flags:<7} {text(comm):<7} {text(fname)}"
        )
    return 0


signal.signal(signal.SIGINT, stop)
opened = pointer(library.bpf_object__open_file(source.encode(), None))
length = ctypes.c_size_t()
rodata = pointer(library.bpf_object__find_map_by_name(opened, b".rodata"))
value = library.bpf_map__initial_value(rodata, ctypes.byref(length))
ctypes.c_int.from_address(value).value = int(pid)
if library.bpf_object__load(opened):
    sys.exit(1)
function = ctypes.CFUNCTYPE(ctypes.c_int, pointer, pointer, ctypes.c_size_t)(show)
events = pointer(library.bpf_object__find_map_by_name(opened, b"events"))
ring = pointer(library.ring_buffer__new(library.bpf_map__fd(events), function, None, None))
program = pointer(library.bpf_object__next_program(opened, None))
link = library.bpf_program__attach(program)
while not stopped:
    library.ring_buffer__poll(ring, 100)
section = (ctypes.c_uint64 * 2)()
bss = pointer(library.bpf_object__find_map_by_name(opened, b".bss"))
library.bpf_map_lookup_elem(
    library.bpf_map__fd(bss), ctypes.byref(ctypes.c_int(0)), ctypes.byref(section)
)
sys.stdout.flush()
print(f"lost {section[int(lost_at) // 8]}", file=sys.stderr)
