/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef STATSNOOP_H
#define STATSNOOP_H

struct event {
	__u32 pid;      /// process
	int ret;        /// 0, or the negative errno
	char comm[16];  /// command
	char path[255]; /// path, as given
};

#endif
