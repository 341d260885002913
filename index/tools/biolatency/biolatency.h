/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef BIOLATENCY_H
#define BIOLATENCY_H

struct disk {
	char disk[32]; /// name of the disk; empty for all together
	char flags[8]; /// what is done, as blktrace writes it; empty for all together
};

struct hist {
	__u32 slots[HIST_SLOTS]; /// how often, by powers of two
};

#endif
