/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef RUNQSLOWER_H
#define RUNQSLOWER_H

struct event {
	__u32 pid;      /// process
	__u32 tid;      /// thread
	__u64 lat_us;   /// how long it waited, microseconds
	__u32 prev_tid; /// thread that ran before it
	char comm[16];  /// command @width 15
	char prev[16];  /// command that ran before it
};

#endif
