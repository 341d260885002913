// Sampled maps of every kind: getpgid(N) of the watched process counts N in each of them.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#define MAX_SLOTS 27

struct caller { u32 number; char comm[16]; };
struct value { u64 count; u32 last; };
struct hist { u32 slots[MAX_SLOTS]; char comm[16]; };
struct prefix { u32 length; u8 data[4]; };

const volatile int target_pid = 0;

/// @sample {"interval": 200}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct caller);
	__type(value, struct value);
} counts SEC(".maps");

/// @sample {"interval": 200, "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, u64);
} totals SEC(".maps");

/// @sample {"interval": 200}
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, struct value);
} each_cpu SEC(".maps");

/// @sample {"interval": 200}
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, u64);
} each_cpu_array SEC(".maps");

/// @sample {"interval": 200}
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64);
	__uint(key_size, 4);
	__uint(value_size, 8);
} recent SEC(".maps");

/// @sample {"interval": 200, "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, u32);
} prefixes SEC(".maps");

/// @sample {"interval": 200, "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 64);
	__type(value, u32);
} queue SEC(".maps");

/// @sample {"interval": 200, "type": "log2_hist", "unit": "usecs"}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, struct hist);
} hists SEC(".maps");

/// @sample {"interval": 200, "type": "linear_hist"}
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32[8]);
} lines SEC(".maps");

static __always_inline void count_hist(u32 number)
{
	struct hist *hist, empty = {};
	u32 zero = 0, *line;
	u32 slot = 0;

	bpf_map_update_elem(&hists, &zero, &empty, BPF_NOEXIST);
	hist = bpf_map_lookup_elem(&hists, &zero);
	if (hist) {
		for (int i = 0; i < MAX_SLOTS - 1; i++)
			if (number >> (i + 1))
				slot = i + 1;
		if (slot < MAX_SLOTS)
			__sync_fetch_and_add(&hist->slots[slot], 1);
		bpf_get_current_comm(hist->comm, sizeof(hist->comm));
	}
	line = bpf_map_lookup_elem(&lines, &zero);
	if (line)
		__sync_fetch_and_add(&line[number & 7], 1);
}

static __always_inline void count_cpu(u32 number)
{
	struct value *value, empty = {};
	u32 zero = 0;
	u64 *total;

	bpf_map_update_elem(&each_cpu, &number, &empty, BPF_NOEXIST);
	value = bpf_map_lookup_elem(&each_cpu, &number);
	if (value) {
		value->count += 1;
		value->last = 10;
	}
	total = bpf_map_lookup_elem(&each_cpu_array, &zero);
	if (total)
		*total += 1;
}

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(struct trace_event_raw_sys_enter *ctx)
{
	u32 number = ctx->args[0], slot = number & 3;
	struct caller key = { .number = number };
	struct value *value, empty = {};
	struct prefix prefix = { .length = 32, .data = { 10, 0, 0, number } };
	u64 *total, one = 1;

	if (target_pid != bpf_get_current_pid_tgid() >> 32)
		return 0;
	bpf_get_current_comm(key.comm, sizeof(key.comm));
	bpf_map_update_elem(&counts, &key, &empty, BPF_NOEXIST);
	value = bpf_map_lookup_elem(&counts, &key);
	if (value) {
		__sync_fetch_and_add(&value->count, 1);
		value->last = number;
	}
	total = bpf_map_lookup_elem(&totals, &slot);
	if (total)
		__sync_fetch_and_add(total, 1);
	bpf_map_update_elem(&recent, &number, &one, 0);
	bpf_map_update_elem(&prefixes, &prefix, &number, 0);
	bpf_map_push_elem(&queue, &number, 0);
	count_cpu(number);
	count_hist(number);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
