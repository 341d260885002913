/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef EBPM_BLOCK_H
#define EBPM_BLOCK_H

#include <bpf/bpf_core_read.h>

extern int LINUX_KERNEL_VERSION __kconfig;

struct request___before_5_17 {
	struct gendisk *rq_disk;
} __attribute__((preserve_access_index));

/* The disk of a request. */
static __always_inline struct gendisk *request_disk(struct request *request)
{
	struct request___before_5_17 *older = (void *)request;

	if (bpf_core_field_exists(older->rq_disk))
		return BPF_CORE_READ(older, rq_disk);
	return BPF_CORE_READ(request, q, disk);
}

/* The name of a request's disk, into an array. */
#define block_disk_name(into, request)                                                         \
	BPF_CORE_READ_STR_INTO(&(into), request_disk(request), disk_name)

/* Whether a request goes to the disk of a name: 32 bytes, aligned, with NULs behind. To any disk, if
   that is empty. */
static __always_inline bool of_disk(struct request *request, const volatile char *wanted)
{
	const volatile __u64 *want = (const volatile __u64 *)wanted;
	__u64 name[4] = {};

	if (!wanted[0])
		return true;
	block_disk_name(name, request);
	return !((name[0] ^ want[0]) | (name[1] ^ want[1]) | (name[2] ^ want[2]) | (name[3] ^ want[3]));
}

/* What a request does, as blktrace writes it: R, W, D (discard), DE (secure erase), F (flush) or N,
   with F before it for a flush, and behind it F for FUA, A for readahead, S for sync, M for metadata.
   Eight bytes of text. */
static __always_inline __u64 request_flags(struct request *request)
{
	__u32 flags = BPF_CORE_READ(request, cmd_flags), op = flags & 0xff, at = 0;
	__u64 text = 0;

#define PUT(condition, character)                                                              \
	do {                                                                                   \
		if (condition) {                                                               \
			text |= (__u64)(character) << at;                                      \
			at += 8;                                                               \
		}                                                                              \
	} while (0)
	PUT(flags & 1 << __REQ_PREFLUSH, 'F');
	PUT(true, op == REQ_OP_READ				      ? 'R' :
		  op == REQ_OP_WRITE				      ? 'W' :
		  op == REQ_OP_FLUSH				      ? 'F' :
		  op == REQ_OP_DISCARD || op == REQ_OP_SECURE_ERASE ? 'D' :
								      'N');
	PUT(op == REQ_OP_SECURE_ERASE, 'E');
	PUT(flags & 1 << __REQ_FUA, 'F');
	PUT(flags & 1 << __REQ_RAHEAD, 'A');
	PUT(flags & 1 << __REQ_SYNC, 'S');
	PUT(flags & 1 << __REQ_META, 'M');
#undef PUT
	return text;
}

/* The request in the arguments of the raw tracepoints block_rq_issue and block_rq_insert: it stands behind its queue
   before Linux 5.11, and in the long-term 5.10 before 5.10.137. */
static __always_inline struct request *issued_request(struct bpf_raw_tracepoint_args *ctx)
{
	return (struct request *)ctx->args[LINUX_KERNEL_VERSION < KERNEL_VERSION(5, 10, 137)];
}

#endif
