/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef BASHREADLINE_H
#define BASHREADLINE_H

struct event {
	__u32 pid;      /// process of the shell
	char line[256]; /// what was typed
};

#endif
