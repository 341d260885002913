/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef SOFTIRQS_H
#define SOFTIRQS_H

/* The names that /proc/softirqs has, by number (include/linux/interrupt.h). */
enum softirq_vector {
	HI,
	TIMER,
	NET_TX,
	NET_RX,
	BLOCK,
	IRQ_POLL,
	TASKLET,
	SCHED,
	HRTIMER,
	RCU,
};

struct softirq {
	enum softirq_vector vector; /// which
};

struct spent {
	__u64 count;             /// how often
	__u64 total;             /// how long in all
	__u32 slots[HIST_SLOTS]; /// how often, by powers of two
};

#endif
