/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef SIGSNOOP_H
#define SIGSNOOP_H

#define TASK_COMM_LEN 16

struct event {
	unsigned int pid;         /// process that sends the signal
	unsigned int tpid;        /// process that the signal is sent to
	ebpm_signal sig;          /// signal number @width 6
	ebpm_result ret;          /// 0, or the negative errno of the system call @width 6
	char comm[TASK_COMM_LEN]; /// command of the sender
};

#endif
