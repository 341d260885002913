/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TCPSTATES_H
#define TCPSTATES_H

/* The states of a connection (include/net/tcp_states.h). */
enum tcp_state {
	ESTABLISHED = 1,
	SYN_SENT,
	SYN_RECV,
	FIN_WAIT1,
	FIN_WAIT2,
	TIME_WAIT,
	CLOSE,
	CLOSE_WAIT,
	LAST_ACK,
	LISTEN,
	CLOSING,
	NEW_SYN_RECV,
};

struct event {
	__u32 pid;               /// process that ran, not always the one that has the connection
	char comm[16];           /// its command
	struct ebpm_ip laddr; /// local address
	struct ebpm_ip raddr; /// remote address
	__u16 lport;          /// local port
	__u16 rport;          /// remote port
	enum tcp_state oldstate; /// state before
	enum tcp_state newstate; /// state after
	__u64 us;                /// how long the state before lasted, microseconds; 0: not known
};

#endif
