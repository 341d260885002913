/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef BOOTSTRAP_H
#define BOOTSTRAP_H

#define TASK_COMM_LEN 16
#define MAX_FILENAME_LEN 127

struct event {
	int pid;                         /// process
	int ppid;                        /// its parent
	unsigned int exit_code;          /// exit status; at the start 0
	unsigned long long duration_ns;  /// time since the start, nanoseconds; at the start 0
	char comm[TASK_COMM_LEN];        /// command
	char filename[MAX_FILENAME_LEN]; /// file of the program; at the end empty
	unsigned char exit_event;        /// 0: a program started, 1: a process ended
};

#endif
