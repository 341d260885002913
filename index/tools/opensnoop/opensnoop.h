/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef OPENSNOOP_H
#define OPENSNOOP_H

#define TASK_COMM_LEN 16
#define NAME_MAX 255

struct event {
	unsigned long long ts;    /// milliseconds since the first event
	int pid;                  /// process
	int uid;                  /// user
	ebpm_result ret;          /// file descriptor, or the negative errno @width 6
	int flags;                /// O_RDONLY and the like, as given
	char comm[TASK_COMM_LEN]; /// command
	char fname[NAME_MAX];     /// file name, as given
};

#endif
