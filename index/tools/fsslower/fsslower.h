/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef FSSLOWER_H
#define FSSLOWER_H

enum op { SLOW_READ, SLOW_WRITE, SLOW_OPEN, SLOW_SYNC };

struct event {
	__u32 pid;     /// process
	enum op op;    /// what was done @width 13
	__u64 bytes;   /// bytes read or written
	__u64 us;      /// how long it took, microseconds
	char comm[16]; /// command @width 15
	char file[64]; /// name of the file, without its folder
};

#endif
