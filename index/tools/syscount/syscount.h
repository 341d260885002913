/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef SYSCOUNT_H
#define SYSCOUNT_H

struct call {
	ebpm_syscall syscall; /// number of the system call on this machine; -1 for all of a process
	__u32 pid;            /// process; 0 for all
	char comm[16];        /// command; empty for all @width 15
};

struct calls {
	__u64 count;    /// how often @width 8
	__u64 total_ns; /// how long in all, nanoseconds
};

#endif
