/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef RUNQLAT_H
#define RUNQLAT_H

#define TASK_COMM_LEN 16

struct hist {
	__u32 slots[HIST_SLOTS];   /// how often, by powers of two
	char comm[TASK_COMM_LEN]; /// the first command that was counted here
};

#endif
