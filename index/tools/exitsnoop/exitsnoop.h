/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef EXITSNOOP_H
#define EXITSNOOP_H

struct event {
	__u32 pid;          /// process
	__u32 tid;          /// thread; the process itself unless threads are reported
	__u32 ppid;         /// parent
	__u32 status;       /// exit status
	ebpm_signal signal; /// signal that ended it, or 0
	bool core;          /// whether it dumped core
	__u64 age_ms;       /// time since it was started, milliseconds
	char comm[16];      /// command
};

#endif
