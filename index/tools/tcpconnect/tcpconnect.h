/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TCPCONNECT_H
#define TCPCONNECT_H

struct event {
	__u32 pid;            /// process
	__u32 uid;            /// user
	char comm[16];        /// command @width 15
	struct ebpm_ip saddr; /// local address
	struct ebpm_ip daddr; /// remote address
	__u16 dport;          /// remote port
};

struct ends {
	struct ebpm_ip saddr; /// local address
	struct ebpm_ip daddr; /// remote address
	__u16 dport;          /// remote port
};

struct connections {
	__u64 count; /// how often they were connected
};

#endif
