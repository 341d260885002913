/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef GETHOSTLATENCY_H
#define GETHOSTLATENCY_H

struct event {
	__u32 pid;      /// process
	__u64 us;       /// how long it waited, microseconds
	char comm[16];  /// command @width 15
	char host[128]; /// name that it asked for
};

#endif
