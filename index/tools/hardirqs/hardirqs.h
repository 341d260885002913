/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef HARDIRQS_H
#define HARDIRQS_H

struct irq {
	char name[32]; /// as /proc/interrupts has it
};

struct spent {
	__u64 count;             /// how often
	__u64 total;             /// how long in all
	__u32 slots[HIST_SLOTS]; /// how often, by powers of two
};

#endif
