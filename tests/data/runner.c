/*
 * Runs a BPF object with the libbpf that is named, without linking it: opens, loads and attaches
 * every program, signals itself with kill(2), and counts the records of the ring buffer "events".
 *
 *     runner LIBBPF OBJECT
 */
#include <dlfcn.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

static void *library;
static int records;

static void *function(const char *name)
{
	void *found = dlsym(library, name);

	if (!found) {
		fprintf(stderr, "%s\n", dlerror());
		_exit(1);
	}
	return found;
}

#define CALL(result, name, ...) ((result (*)())function(#name))(__VA_ARGS__)

static int count(void *context, void *data, size_t size)
{
	(void)context, (void)data, (void)size;
	records++;
	return 0;
}

int main(int argc, char **argv)
{
	void *object, *ring, *program = NULL;

	if (argc != 3)
		return 2;
	library = dlopen(argv[1], RTLD_NOW);
	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	printf("%s\n", CALL(const char *, libbpf_version_string));
	object = CALL(void *, bpf_object__open, argv[2]);
	if (!object || CALL(int, bpf_object__load, object))
		return 1;
	while ((program = CALL(void *, bpf_object__next_program, object, program)))
		if (!CALL(void *, bpf_program__attach, program))
			return 1;
	ring = CALL(void *, ring_buffer__new, CALL(int, bpf_object__find_map_fd_by_name, object, "events"),
		    count, NULL, NULL);
	kill(getpid(), 0);
	if (!ring || CALL(int, ring_buffer__consume, ring) < 0)
		return 1;
	printf("%s\n", records > 0 ? "events" : "no events");
	CALL(void, bpf_object__close, object);
	return records == 0;
}
