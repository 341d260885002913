/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PAGEFAULTS_H
#define PAGEFAULTS_H

struct process {
	__u32 pid;     /// process
	char comm[16]; /// command @width 15
};

struct faults {
	__u64 count; /// page faults
};

#endif
