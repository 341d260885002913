/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PROFILE_H
#define PROFILE_H

struct place {
	__u32 pid;         /// process
	int kern_stack_id; /// stack in the kernel
	int user_stack_id; /// stack in user space
	char comm[16];     /// command
};

struct samples {
	__u64 count; /// how often it was seen there
};

#endif
