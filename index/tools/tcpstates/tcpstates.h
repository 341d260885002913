/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TCPSTATES_H
#define TCPSTATES_H

struct event {
	__u32 pid;               /// process that ran, not always the one that has the connection
	char comm[16];           /// its command @width 15
	struct ebpm_ip laddr; /// local address
	struct ebpm_ip raddr; /// remote address
	__u16 lport;          /// local port
	__u16 rport;          /// remote port
	enum tcp_state oldstate; /// state before @width 14
	enum tcp_state newstate; /// state after @width 14
	__u64 us;                /// how long the state before lasted, microseconds; 0: not known
};

#endif
