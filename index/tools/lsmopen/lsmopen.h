/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef LSMOPEN_H
#define LSMOPEN_H

struct event {
	__u32 pid;     /// process
	__u32 uid;     /// user
	__u32 flags;   /// O_* of open(2)
	char comm[16]; /// command @width 15
	char file[64]; /// name of the file, without its folder
};

#endif
