/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef FILELIFE_H
#define FILELIFE_H

struct event {
	__u32 pid;     /// process that deleted it
	__u64 age_ms;  /// how long it lived, milliseconds
	char comm[16]; /// command that deleted it @width 15
	char file[64]; /// its name, without its folder
};

#endif
