"""What the instructions of a program may do: found by following values through them.

Each register and stack slot holds a set of what may be in it: numbers, the program's context, a
pointer into a packet, anything. Where ways meet the sets are united, so nothing that can happen is
missed; what cannot happen may be in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from ebpm.package import code as c
from ebpm.package.code import Code, Function, Instruction, Place

Value: TypeAlias = frozenset[int | str]
CONTEXT, PACKET, STACK, ANYTHING = "context", "packet", "stack", "anything"
_UNKNOWN: Value = frozenset({ANYTHING})
_FRAME = frozenset({STACK})
_MANY = 8  # more numbers than these are "anything"
_DEPTH = 16  # calls within calls; the kernel allows 8
_MEMORY, _ATOMIC, _DOUBLE = 0x60, 0xC0, 0x18
_FETCH, _CMPXCHG = 1, 0xF1
_MOV, _ADD, _SUB = 0xB0, 0x00, 0x10

# Helpers that are given a packet's memory and only read it: numbers of enum bpf_func_id.
_READERS = frozenset({1, 2, 3, 6, 25, 28, 84, 85, 87, 99, 100, 110, 130, 182, 202})
_READERS |= {204, 205, 206, 207}

# Where the context of a type of programs (enum bpf_prog_type) has pointers into its packet.
_SKB = frozenset({76, 80, 140})  # data, data_end, data_meta of struct __sk_buff
_PACKETS: dict[int, frozenset[int]] = {
    6: frozenset({0, 4, 8}),  # struct xdp_md
    16: frozenset({0, 8}),  # struct sk_msg_md
    **dict.fromkeys((1, 3, 4, 8, 10, 11, 12, 14, 19, 22), _SKB),
}
_SLICE = "bpf_dynptr_slice_rdwr"


@dataclass(slots=True)
class Behaviour:
    """What a program may do, as far as its instructions tell."""

    helpers: set[int] = field(default_factory=set)
    kernel: set[str] = field(default_factory=set)  # kfuncs
    returns: Value = frozenset()  # numbers, and ANYTHING where it may be something else
    reads_packet: bool = False
    writes_packet: bool = False
    writes_context: bool = False
    features: set[str] = field(default_factory=set)  # loops, atomics, jump32, calls, callbacks
    complete: bool = True  # False: too long to be followed to its end


def behaviour(code: Code, function: Function, program_type: int) -> Behaviour:
    """Follow a program from its first instruction.

    Args:
        code: the object's.
        function: where the program begins.
        program_type: enum bpf_prog_type; 0 where it is not known.
    """
    return _Flow(code, _PACKETS.get(program_type, frozenset())).run(function)


class _State:
    """What may be in the registers and the stack's slots before an instruction."""

    __slots__ = ("registers", "slots")

    def __init__(self, registers: list[Value], slots: dict[int, Value]) -> None:
        self.registers = registers
        self.slots = slots

    def merged(self, other: _State) -> _State | None:
        """Unite with what comes another way; None where that brings nothing new."""
        pairs = zip(self.registers, other.registers, strict=True)
        registers = [_union(mine, theirs) for mine, theirs in pairs]
        slots = {
            at: _union(self.slots[at], other.slots[at])
            for at in self.slots.keys() & other.slots.keys()
        }
        if registers == self.registers and slots == self.slots:
            return None
        return _State(registers, slots)


def _union(one: Value, other: Value) -> Value:
    if one == other:
        return one
    both = one | other
    if ANYTHING in both or len(both) > _MANY:
        return _kinds(both) | _UNKNOWN
    return both


def _kinds(value: Value) -> Value:
    return frozenset(one for one in value if isinstance(one, str))


class _Flow:
    def __init__(self, code: Code, packets: frozenset[int]) -> None:
        self._code = code
        self._packets = packets
        self._found = Behaviour()
        self._spilled: Value = frozenset()  # what may lie on any stack, seen through a pointer
        self._done: dict[tuple[Place, tuple[Value, ...]], Value] = {}

    def run(self, function: Function) -> Behaviour:
        arguments = [frozenset({CONTEXT}), *[_UNKNOWN] * 4]
        spilled = None
        while spilled != self._spilled and self._found.complete:
            spilled = self._spilled  # a pass may find more than what its loads were told
            self._done.clear()
            self._found.returns = self._follow(function.place, arguments, 0)
        return self._found

    def _follow(self, place: Place, arguments: list[Value], depth: int) -> Value:
        """Follow a function; tell what it may return."""
        function = self._code.functions.get(place)
        if function is None or depth > _DEPTH:
            self._found.complete = False
            return _UNKNOWN
        key = place, tuple(arguments)
        if key in self._done:
            return self._done[key]
        self._done[key] = _UNKNOWN  # for a function that comes to itself again
        body = self._code.body(function)
        first = _State([_UNKNOWN, *arguments, *[_UNKNOWN] * 4, _FRAME], {})
        states, waiting = {0: first}, {0}
        returns: Value = frozenset()
        while waiting:
            at = min(waiting)
            waiting.discard(at)
            self._code.steps -= 1
            if self._code.steps < 0 or not 0 <= at < len(body):
                self._found.complete = False
                return _UNKNOWN
            state = _State(list(states[at].registers), dict(states[at].slots))
            one = body[at]
            if one.opcode == c.EXIT:
                returns = _union(returns, state.registers[0]) if returns else state.registers[0]
            self._step(one, (place[0], place[1] + at), state, depth)
            for after in self._after(one, at):
                known = states.get(after)
                new = state if known is None else known.merged(state)
                if new is not None:
                    states[after] = new
                    waiting.add(after)
        self._done[key] = returns or _UNKNOWN
        return self._done[key]

    def _after(self, one: Instruction, at: int) -> tuple[int, ...]:
        """List the instructions that may come next."""
        if one.kind not in (c.JMP, c.JMP32) or one.opcode == c.CALL:
            return (at + (2 if one.opcode == c.LOAD_64 else 1),)
        if one.opcode == c.EXIT:
            return ()
        target = at + 1 + (one.immediate if one.opcode == c.JA32 else one.offset)
        if target <= at:
            self._found.features.add("loops")
        if one.kind == c.JMP32:
            self._found.features.add("jump32")
        return (target,) if one.opcode in (c.JA, c.JA32) else (at + 1, target)

    def _step(self, one: Instruction, place: Place, state: _State, depth: int) -> None:
        """Do to the state what an instruction does."""
        registers = state.registers
        if one.dst > 10 or one.src > 10:
            self._found.complete = False
        elif one.kind in (c.ALU, c.ALU64):
            registers[one.dst] = self._calculate(one, registers)
        elif one.kind == c.LDX:
            registers[one.dst] = self._load(one, state)
        elif one.kind in (c.ST, c.STX):
            self._store(one, state)
        elif one.opcode == c.LOAD_64:
            registers[one.dst] = self._constant(place, depth)
        elif one.kind == c.LD:
            registers[0] = _UNKNOWN
        elif one.opcode == c.CALL:
            registers[0] = self._call(place, registers, depth)
            registers[1:6] = [_UNKNOWN] * 5

    @staticmethod
    def _calculate(one: Instruction, registers: list[Value]) -> Value:
        operation, by_register = one.opcode & 0xF0, one.opcode & 8
        if operation == _MOV and not one.offset:
            return registers[one.src] if by_register else frozenset({one.immediate})
        if operation in (_ADD, _SUB):  # what points there still points there
            other = _kinds(registers[one.src]) if by_register else frozenset()
            return _kinds(registers[one.dst]) | other | _UNKNOWN
        return _UNKNOWN

    def _constant(self, place: Place, depth: int) -> Value:
        if self._code.is_constant(place):
            return _UNKNOWN
        callback = self._code.function_at(place)
        if callback is not None:
            self._found.features.add("callbacks")
            self._follow(callback, [_FRAME | _UNKNOWN] * 5, depth + 1)
        return _UNKNOWN

    def _load(self, one: Instruction, state: _State) -> Value:
        base = state.registers[one.src]
        self._found.reads_packet |= PACKET in base
        if CONTEXT in base and one.offset in self._packets:
            return frozenset({PACKET}) | _UNKNOWN
        if one.src == 10 and one.opcode & 0xF8 == _MEMORY | _DOUBLE:
            return state.slots.get(one.offset, _UNKNOWN | self._spilled)
        return _UNKNOWN | self._spilled if STACK in base else _UNKNOWN

    def _store(self, one: Instruction, state: _State) -> None:
        base, value = state.registers[one.dst], state.registers[one.src]
        self._found.writes_packet |= PACKET in base
        self._found.writes_context |= CONTEXT in base
        if one.kind == c.STX and one.opcode & 0xE0 == _ATOMIC:
            if one.immediate:  # 0 is the addition that there always was
                self._found.features.add("atomics")
            if one.immediate & _FETCH:
                state.registers[0 if one.immediate == _CMPXCHG else one.src] = _UNKNOWN
            return
        if STACK not in base:
            return
        whole = one.kind == c.STX and one.opcode & 0x18 == _DOUBLE
        if whole:
            self._spilled |= _kinds(value) - _UNKNOWN
        if one.dst != 10:
            return
        for at in range(one.offset - 7, one.offset + 8):
            state.slots.pop(at, None)
        if whole:
            state.slots[one.offset] = value

    def _call(self, place: Place, registers: list[Value], depth: int) -> Value:
        called = self._code.call(place)
        given = registers[1:6]
        if called.place is not None:
            self._found.features.add("calls")
            return self._follow(called.place, given, depth + 1)
        if called.kernel is not None:
            self._found.kernel.add(called.kernel)
            is_packet = called.kernel == _SLICE and bool(self._packets)
            return frozenset({PACKET}) | _UNKNOWN if is_packet else _UNKNOWN
        assert called.helper is not None
        self._found.helpers.add(called.helper)
        if called.helper not in _READERS:
            self._found.writes_packet |= any(PACKET in one for one in given)
        return _UNKNOWN
