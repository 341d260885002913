/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef BITESIZE_H
#define BITESIZE_H

struct issuer {
	char comm[16]; /// command
};

struct hist {
	__u32 slots[HIST_SLOTS]; /// how often, by powers of two
};

#endif
