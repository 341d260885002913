/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TCPRTT_H
#define TCPRTT_H

struct ends {
	struct ebpm_ip laddr; /// local address; :: for all together
	struct ebpm_ip raddr; /// remote address; :: for all together
};

struct hist {
	__u64 count;             /// segments that were counted
	__u64 total;             /// their round-trip times together, microseconds
	__u32 slots[HIST_SLOTS]; /// how often, by powers of two
};

#endif
