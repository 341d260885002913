// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Memory that programs ask the C library for and do not give back, by the stack that asked for it.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <ebpm/hist.h>
#include "memleak.h"

#define MAX_DEPTH 127

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int pid = 0;
/// @description Least size of an allocation to count, bytes
/// @cmdarg {"short": "z"}
const volatile unsigned long long min_size = 0;

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 16384);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, MAX_DEPTH * sizeof(__u64));
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, __u64);
} sizes SEC(".maps");

struct memory {
	__u64 size;
	struct owner owner;
};

struct address {
	__u64 memory;
	__u32 pid;
	__u32 unused;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1000000);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address);
	__type(value, struct memory);
} held SEC(".maps");

/// @sample {"interval": 5000, "sort": "bytes", "limit": 10,
///          "cmdarg": {"limit": {"short": "T", "long": "top", "help": "Stacks of each reading to print; 0 prints all"}}}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct owner);
	__type(value, struct leak);
} leaks SEC(".maps");

static struct leak zero;

static int asked(__u64 size)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 tid = id;

	if (size >= min_size && (!pid || id >> 32 == pid))
		bpf_map_update_elem(&sizes, &tid, &size, BPF_ANY);
	return 0;
}

static int given(void *ctx, void *memory)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct address address = {.memory = (__u64)memory, .pid = id >> 32};
	struct memory one = {.owner = {.pid = id >> 32}};
	struct leak *leak;
	__u32 tid = id;
	__u64 *size = bpf_map_lookup_elem(&sizes, &tid);

	if (!size)
		return 0;
	one.size = *size;
	bpf_map_delete_elem(&sizes, &tid);
	if (!memory)
		return 0;
	one.owner.user_stack_id = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	bpf_get_current_comm(one.owner.comm, sizeof(one.owner.comm));
	if (bpf_map_update_elem(&held, &address, &one, BPF_ANY))
		return 0;
	leak = lookup_or_init(&leaks, &one.owner, &zero);
	if (leak) {
		__atomic_fetch_add(&leak->bytes, one.size, __ATOMIC_RELAXED);
		__atomic_fetch_add(&leak->count, 1, __ATOMIC_RELAXED);
	}
	return 0;
}

static int returned(void *memory)
{
	struct address address = {
		.memory = (__u64)memory,
		.pid = bpf_get_current_pid_tgid() >> 32,
	};
	struct memory *one = bpf_map_lookup_elem(&held, &address);
	struct leak *leak;

	if (!one)
		return 0;
	leak = bpf_map_lookup_elem(&leaks, &one->owner);
	if (leak) {
		__atomic_fetch_add(&leak->bytes, -one->size, __ATOMIC_RELAXED);
		__atomic_fetch_add(&leak->count, -1, __ATOMIC_RELAXED);
		if (!leak->count)
			bpf_map_delete_elem(&leaks, &one->owner);
	}
	bpf_map_delete_elem(&held, &address);
	return 0;
}

SEC("uprobe/libc.so.6:malloc")
int BPF_UPROBE(malloc_entry, size_t size)
{
	return asked(size);
}

SEC("uretprobe/libc.so.6:malloc")
int BPF_URETPROBE(malloc_exit, void *memory)
{
	return given(ctx, memory);
}

SEC("uprobe/libc.so.6:calloc")
int BPF_UPROBE(calloc_entry, size_t count, size_t size)
{
	return asked(count * size);
}

SEC("uretprobe/libc.so.6:calloc")
int BPF_URETPROBE(calloc_exit, void *memory)
{
	return given(ctx, memory);
}

SEC("uprobe/libc.so.6:realloc")
int BPF_UPROBE(realloc_entry, void *memory, size_t size)
{
	returned(memory);
	return asked(size);
}

SEC("uretprobe/libc.so.6:realloc")
int BPF_URETPROBE(realloc_exit, void *memory)
{
	return given(ctx, memory);
}

SEC("uprobe/libc.so.6:free")
int BPF_UPROBE(free_entry, void *memory)
{
	return returned(memory);
}

/// @brief Show memory that programs do not give back, by stack.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
