// A variable of each kind that can be an option; getpgid(2) of the watched process reports them.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

enum mode { SLOW, FAST = 4 };
typedef long long age_t;
struct point { short x, y; };
union word { unsigned int whole; unsigned char bytes[4]; };

struct event {
	signed char si8;
	unsigned char ui8;
	short si16;
	unsigned short ui16;
	int si32;
	unsigned int ui32;
	long long si64;
	unsigned long long ui64;
	age_t age;
	bool failed;
	bool quiet;
	enum mode mode;
	char name[8];
	int list[3];
	struct point point;
	union word word;
	unsigned long long ratio; /* the bits of the double, which BPF can only carry */
	int in_data;
	int in_bss;
	int in_custom_rodata;
	int in_custom_data;
};

/// Process to watch
/// @cmdarg {"default": 0, "long": "pid", "short": "p"}
const volatile pid_t watched;
const volatile signed char si8;
const volatile unsigned char ui8;
const volatile short si16;
const volatile unsigned short ui16;
const volatile int si32;
const volatile unsigned int ui32;
const volatile long long si64;
const volatile unsigned long long ui64;
const volatile age_t age = -1;
/// @cmdarg {"short": "f", "help": "only the failed"}
const volatile bool failed;
/// @cmdarg {"default": true}
const volatile bool quiet;
const volatile enum mode mode = FAST;
const volatile char name[8] = "none";
const volatile int list[3] = {1, 2, 3};
const volatile struct point point;
const volatile union word word;
const volatile double ratio = 0.5;
int in_data = 1;
int in_bss;
const volatile int in_custom_rodata SEC(".rodata.mine") = 2;
int in_custom_data SEC(".data.mine") = 3;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(void *ctx)
{
	struct event *e;

	if (watched != bpf_get_current_pid_tgid() >> 32)
		return 0;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return 0;
	e->si8 = si8;
	e->ui8 = ui8;
	e->si16 = si16;
	e->ui16 = ui16;
	e->si32 = si32;
	e->ui32 = ui32;
	e->si64 = si64;
	e->ui64 = ui64;
	e->age = age;
	e->failed = failed;
	e->quiet = quiet;
	e->mode = mode;
	for (int i = 0; i < sizeof(name); i++)
		e->name[i] = name[i];
	for (int i = 0; i < 3; i++)
		e->list[i] = list[i];
	e->point.x = point.x;
	e->point.y = point.y;
	e->word.whole = word.whole;
	e->ratio = *(const volatile unsigned long long *)&ratio;
	e->in_data = in_data;
	e->in_bss = in_bss;
	e->in_custom_rodata = in_custom_rodata;
	e->in_custom_data = in_custom_data;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

/// @brief All kinds of options.
/// @details They are reported as they were given.
char LICENSE[] SEC("license") = "GPL";
