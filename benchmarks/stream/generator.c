// Calls getppid at a rate for a time: generator RATE SECONDS (rate 0: as fast as it goes).
// Waits for a line on standard input first; prints calls, and nanoseconds that they took together.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static unsigned long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

int main(int argc, char **argv)
{
	double rate = atof(argv[1]), seconds = atof(argv[2]);
	unsigned long long start, end, at, calls = 0, due;

	if (getchar() == EOF)
		return 1;
	start = now();
	end = start + seconds * 1e9;
	if (rate && rate <= 20000) { /* sleep between calls */
		for (; now() < end; calls++) {
			struct timespec t;

			due = start + calls * 1e9 / rate;
			t.tv_sec = due / 1000000000, t.tv_nsec = due % 1000000000;
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
			syscall(SYS_getppid);
		}
	} else {
		while ((at = now()) < end) {
			due = rate ? (at - start) * rate / 1e9 : calls + 64;
			for (; calls < due; calls++)
				syscall(SYS_getppid);
		}
	}
	printf("%llu %llu\n", calls, now() - start);
	return 0;
}
