// What a C tool does with libbpf: load, attach, print each event as it comes.
// consumer OBJECT PID ring|perf [pace]: with pace, wake-ups are coalesced by ebpm's rule.
// Declares what it uses of libbpf: the bundle carries the BPF side's headers alone.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef int (*sample_fn)(void *, void *, size_t);
typedef void (*perf_sample_fn)(void *, int, void *, unsigned);
typedef void (*perf_lost_fn)(void *, int, unsigned long long);
void *bpf_object__open_file(const char *, const void *);
int bpf_object__load(void *);
void *bpf_object__next_program(void *, void *);
void *bpf_object__find_map_by_name(void *, const char *);
void *bpf_map__initial_value(void *, size_t *);
int bpf_map__fd(void *);
int bpf_map_lookup_elem(int, const void *, void *);
void *bpf_program__attach(void *);
void *ring_buffer__new(int, sample_fn, void *, const void *);
int ring_buffer__poll(void *, int);
void *perf_buffer__new(int, size_t, perf_sample_fn, perf_lost_fn, void *, const void *);
int perf_buffer__poll(void *, int);

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

static volatile sig_atomic_t stopped;
static unsigned long long lost, seen;
static char clock_text[16];
static time_t clock_of;

static void stop(int number) { stopped = 1; }

static int print(void *context, void *data, size_t size)
{
	const struct event *e = data;
	time_t t = time(NULL);

	seen++;
	if (t != clock_of) { /* libbpf-tools call strftime for each event; this is kinder to C */
		clock_of = t;
		strftime(clock_text, sizeof(clock_text), "%H:%M:%S", localtime(&t));
	}
#if SIZE == 24
	printf("%s  %-6llu %-7u %-7u %llu\n", clock_text, e->ts, e->pid, e->cpu, e->seq);
#elif SIZE == 64
	printf("%s  %-6llu %-7u %-7u %-7llu %-7s %-7u %-7d %-7llu %llu\n", clock_text, e->ts,
	       e->pid, e->tid, e->seq, e->comm, e->uid, e->ret, e->a, e->b);
#else
	printf("%s  %-6llu %-7u %-7u %-7d %-7u %-7s %s\n", clock_text, e->ts, e->pid, e->uid,
	       e->ret, e->flags, e->comm, e->fname);
#endif
	return 0;
}

static void print_perf(void *context, int cpu, void *data, unsigned size) { print(context, data, size); }
static void count_lost(void *context, int cpu, unsigned long long count) { lost += count; }

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	int perf = !strcmp(argv[3], "perf"), pace = argc > 4, zero = 0;
	void *object = bpf_object__open_file(argv[1], NULL), *buffer, *map;
	size_t size;
	double since = 0;
	unsigned long long before = 0;
	int busy = 0;

	if (!object)
		return 1;
	*(int *)bpf_map__initial_value(bpf_object__find_map_by_name(object, ".rodata"), &size) = atoi(argv[2]);
	if (bpf_object__load(object))
		return 1;
	signal(SIGINT, stop);
	map = bpf_object__find_map_by_name(object, "events");
	buffer = perf ? perf_buffer__new(bpf_map__fd(map), 64, print_perf, count_lost, NULL, NULL)
		      : ring_buffer__new(bpf_map__fd(map), print, NULL, NULL);
	if (!buffer || !bpf_program__attach(bpf_object__next_program(object, NULL)))
		return 1;
	while (!stopped) {
		if (pace && busy)
			usleep(1000);
		if ((perf ? perf_buffer__poll : ring_buffer__poll)(buffer, 100) < 0 && errno != EINTR)
			return 1;
		if (pace && now() - since >= .002) {
			busy = seen - before > 8000 * (now() - since);
			before = seen, since = now();
		}
	}
	if (!perf) {
		unsigned long long section[2]; /* lost and seq */

		map = bpf_object__find_map_by_name(object, ".bss");
		if (bpf_map_lookup_elem(bpf_map__fd(map), &zero, section))
			return 1;
		lost = section[LOST / 8];
	}
	fflush(stdout);
	fprintf(stderr, "lost %llu\n", lost);
	return 0;
}
