/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef MEMLEAK_H
#define MEMLEAK_H

struct owner {
	__u32 pid;         /// process
	int user_stack_id; /// stack that asked for it
	char comm[16];     /// command
};

struct leak {
	__u64 bytes; /// not given back
	__u64 count; /// allocations
};

#endif
