/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef CPUDIST_H
#define CPUDIST_H

struct hist {
	__u32 slots[HIST_SLOTS]; /// how often, by powers of two
	char comm[16];           /// the first command that was counted here
};

#endif
