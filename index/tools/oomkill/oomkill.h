/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef OOMKILL_H
#define OOMKILL_H

struct event {
	__u32 fpid;     /// process that asked for memory
	__u32 tpid;     /// process that is killed
	char fcomm[16]; /// command that asked for memory
};

#endif
