/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TCPLIFE_H
#define TCPLIFE_H

struct event {
	__u32 pid;            /// process
	char comm[16];        /// command @width 15
	struct ebpm_ip laddr; /// local address
	struct ebpm_ip raddr; /// remote address
	__u16 lport;          /// local port
	__u16 rport;          /// remote port
	__u64 tx_bytes;       /// bytes sent and acknowledged
	__u64 rx_bytes;       /// bytes received
	__u64 ms;             /// how long it lived, milliseconds
};

#endif
