/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef EXECSNOOP_H
#define EXECSNOOP_H

#define TASK_COMM_LEN 16
#define ARGS_LEN 256

struct event {
	int pid;  /// process
	int ppid; /// its parent
	int uid;  /// user
	ebpm_result ret; /// 0, or the negative errno @width 6
	char comm[TASK_COMM_LEN]; /// command, after the exec if it worked @width 15
	char args[ARGS_LEN] __attribute__((aligned(8)));      /// its arguments, cut off after 255 bytes
};

#endif
