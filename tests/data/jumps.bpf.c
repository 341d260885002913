// A table of programs and one of maps, which a configuration fills; getpgid(2) goes through both.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct event { unsigned int from; unsigned int value; };

/// @cmdarg {"long": "pid"}
const volatile int watched = 0;

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 4);
} jumps SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, unsigned int);
	__type(value, unsigned int);
} first SEC(".maps"), second SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 4);
	__array(values, struct inner);
} tables SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

static int report(unsigned int from)
{
	unsigned int key = 1, zero = 0, *value;
	struct event e = { .from = from };
	void *table = bpf_map_lookup_elem(&tables, &key);

	if (table && (value = bpf_map_lookup_elem(table, &zero)))
		e.value = *value;
	bpf_ringbuf_output(&events, &e, sizeof(e), 0);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(void *ctx)
{
	if (watched != bpf_get_current_pid_tgid() >> 32)
		return 0;
	bpf_tail_call(ctx, &jumps, 1);
	return report(1);
}

SEC("tracepoint")
int jumped(void *ctx)
{
	return report(2);
}

char LICENSE[] SEC("license") = "GPL";
