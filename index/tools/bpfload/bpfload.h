/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef BPFLOAD_H
#define BPFLOAD_H

struct program {
	enum bpf_prog_type type;
	__u32 insns;
	char name[16];
};

struct event {
	__u32 pid;               /// process
	__u32 uid;               /// user
	ebpm_result ret;         /// file descriptor, or the negative errno
	__u32 insns;             /// instructions
	char comm[16];           /// command @width 15
	char prog[16];           /// name of the program @width 15
	enum bpf_prog_type type; /// its type
};

#endif
