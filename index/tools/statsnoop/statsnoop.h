/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef STATSNOOP_H
#define STATSNOOP_H

struct event {
	__u32 pid;       /// process
	ebpm_result ret; /// 0, or the negative errno
	char comm[16];   /// command @width 15
	char path[255];  /// path, as given
};

#endif
