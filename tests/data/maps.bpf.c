// Maps of all kinds that a configuration can fill; getpgid(2) of the watched process reports some.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

enum mode { OFF, ON = 3 };
struct point { short x; unsigned short y; char name[8]; enum mode mode; };
struct prefix { unsigned int prefixlen; unsigned char address[4]; };
struct event { unsigned long long limit; unsigned int first; };

/// @cmdarg {"long": "pid"}
const volatile int watched = 0;

#define MAP(NAME, KIND, KEY, VALUE, SIZE, FLAGS)	\
	struct {					\
		__uint(type, KIND);			\
		__uint(max_entries, SIZE);		\
		__uint(map_flags, FLAGS);		\
		__type(key, KEY);			\
		__type(value, VALUE);			\
	} NAME SEC(".maps")

typedef char comm_t[16];
typedef unsigned int pair_t[2];

MAP(limits, BPF_MAP_TYPE_HASH, int, unsigned long long, 2, 0);
MAP(points, BPF_MAP_TYPE_ARRAY, unsigned int, struct point, 4, 0);
MAP(by_name, BPF_MAP_TYPE_HASH, comm_t, signed char, 8, 0);
MAP(by_point, BPF_MAP_TYPE_HASH, struct point, bool, 8, 0);
MAP(routes, BPF_MAP_TYPE_LPM_TRIE, struct prefix, unsigned int, 8, BPF_F_NO_PREALLOC);
MAP(cpu_slots, BPF_MAP_TYPE_PERCPU_ARRAY, unsigned int, unsigned int, 2, 0);
MAP(cpu_pairs, BPF_MAP_TYPE_PERCPU_HASH, unsigned int, pair_t, 2, 0);

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 4);
	__type(value, unsigned int);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 3);
} untyped SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 4);
} jumps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(void *ctx)
{
	int key = 7;
	unsigned long long *limit;
	struct event *e;

	if (watched != bpf_get_current_pid_tgid() >> 32)
		return 0;
	limit = bpf_map_lookup_elem(&limits, &key);
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return 0;
	e->limit = limit ? *limit : 0;
	e->first = 0;
	bpf_map_pop_elem(&queue, &e->first);
	bpf_ringbuf_submit(e, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
