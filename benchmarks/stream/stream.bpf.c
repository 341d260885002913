// One event for each call of one system call by one process: SIZE bytes, through a ring or, with
// PERF, through a perf buffer. With DISTINCT, each event carries a text of its own.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#ifndef SIZE
#define SIZE 24
#endif
#ifndef NUMBER
#define NUMBER 110 /* getppid on x86_64 */
#endif

#if SIZE == 24
struct event { unsigned long long ts; unsigned int pid, cpu; unsigned long long seq; };
#elif SIZE == 64
struct event {
	unsigned long long ts;
	unsigned int pid, tid;
	unsigned long long seq;
	char comm[16];
	unsigned int uid;
	int ret;
	unsigned long long a, b;
};
#else
struct event {
	unsigned long long ts;
	unsigned int pid, uid;
	int ret;
	unsigned int flags;
	char comm[16];
	char fname[260];
};
#endif

/// @description Process whose calls are reported
const volatile int target = 0;
/// @lost
unsigned long long lost = 0;
unsigned long long seq = 0;

struct {
#ifdef PERF
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
#else
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
#endif
} events SEC(".maps");

SEC("raw_tp/sys_enter")
int on_enter(struct bpf_raw_tracepoint_args *ctx)
{
	unsigned long long id;
	struct event *e;

	if (ctx->args[1] != NUMBER)
		return 0;
	id = bpf_get_current_pid_tgid();
	if (id >> 32 != target)
		return 0;
#ifdef PERF
	struct event record = {};
	e = &record;
#else
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
#endif
	e->ts = bpf_ktime_get_ns();
	e->pid = id >> 32;
#if SIZE == 24
	e->cpu = bpf_get_smp_processor_id();
	e->seq = seq++;
#elif SIZE == 64
	e->tid = id;
	e->seq = seq++;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	e->uid = 0;
	e->ret = e->seq & 7 ? 0 : -2;
	e->a = e->seq * 3;
	e->b = 7;
#else
	unsigned long long n = seq++;
	e->uid = 0;
	e->ret = n & 7 ? 5 : -2;
	e->flags = 0x8000;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	__builtin_memset(e->fname, 0, sizeof(e->fname));
#ifdef DISTINCT
	for (int i = 0; i < 16; i++)
		e->fname[i] = 'a' + ((n >> (4 * i)) & 15);
#else
	__builtin_memcpy(e->fname, "/usr/lib/some/where/00/libfile.so", 34);
	e->fname[20] += (n >> 3) & 7;
	e->fname[21] += n & 7;
#endif
#endif
#ifdef PERF
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, e, sizeof(*e));
#else
	bpf_ringbuf_submit(e, 0);
#endif
	return 0;
}

/// @brief One event for each system call of one process.
char LICENSE[] SEC("license") = "GPL";
