// Every kind of value that an event can carry, sent once for each getpgid(2) of the watched process.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

enum colour { RED = 1, GREEN = 2, BLUE = -3 };
enum big : unsigned long long { HUGE_ONE = 0x100000000ULL };
struct point { short x; unsigned short y; };
union word { unsigned int whole; unsigned char bytes[4]; };
typedef unsigned long long stamp_t;

struct event {
	stamp_t stamp;
	signed char small;
	unsigned char byte;
	bool flag;
	enum colour colour;
	enum colour strange;
	char text[12];
	unsigned char raw[3];
	int list[3];
	char names[2][4];
	struct point point;
	union word word;
	unsigned int low : 3;
	int high : 5;
	void *pointer;
	unsigned __int128 wide;
	struct { int inner; };
};

const volatile int watched = 0;
const volatile char text[12] = "hello";
const volatile enum colour colour = GREEN;
const volatile int list[3] = {1, 2, 3};
const volatile struct point point = {-5, 65535};
const volatile bool flag = true;
const volatile signed char small = -1;
const volatile unsigned long long stamp = 1;
const volatile double ratio = 0.5;
int writable = 7;
unsigned int zeroed;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
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
	__builtin_memset(e, 0, sizeof(*e));
	e->stamp = stamp;
	e->small = small;
	e->byte = 200;
	e->flag = flag;
	e->colour = colour;
	e->strange = 99;
	for (int i = 0; i < sizeof(e->text); i++)
		e->text[i] = text[i];
	e->raw[0] = 1;
	e->raw[2] = 255;
	for (int i = 0; i < 3; i++)
		e->list[i] = list[i];
	__builtin_memcpy(e->names[0], "ab", 3);
	__builtin_memcpy(e->names[1], "cd", 3);
	e->point.x = point.x;
	e->point.y = point.y;
	e->word.whole = 0x04030201;
	e->low = 5;
	e->high = -3;
	e->pointer = (void *)0xffff888000000001;
	e->wide = ((unsigned __int128)1 << 64) + 2;
	e->inner = writable + zeroed;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
