/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef ERRSNOOP_H
#define ERRSNOOP_H

struct event {
	__u32 pid;            /// process
	ebpm_syscall syscall; /// number of the system call on this machine
	ebpm_result ret;      /// the negative errno
	char comm[16];        /// command
};

#endif
