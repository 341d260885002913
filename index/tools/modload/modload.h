/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef MODLOAD_H
#define MODLOAD_H

enum module_event { UNLOADED, LOADED };

struct event {
	__u32 pid;              /// process that asked for it
	enum module_event what; /// what happened @width 11
	char comm[16];          /// its command @width 15
	char module[56];        /// name of the module
};

#endif
