/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef RUNQLEN_H
#define RUNQLEN_H

#define QUEUE_SLOTS 32

struct hist {
	__u64 samples;            /// how often it was looked
	__u64 queued;             /// how often of these a task waited
	__u32 slots[QUEUE_SLOTS]; /// how often as many tasks waited
};

#endif
