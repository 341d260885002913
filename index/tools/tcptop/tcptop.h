/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TCPTOP_H
#define TCPTOP_H

struct flow {
	__u32 pid;            /// process
	char comm[16];        /// command @width 15
	struct ebpm_ip laddr; /// local address
	struct ebpm_ip raddr; /// remote address
	__u16 lport;          /// local port
	__u16 rport;          /// remote port
};

struct traffic {
	__u64 tx_bytes; /// bytes sent
	__u64 rx_bytes; /// bytes received
};

#endif
