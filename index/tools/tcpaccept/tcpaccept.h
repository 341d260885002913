/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TCPACCEPT_H
#define TCPACCEPT_H

struct event {
	__u32 pid;            /// process
	char comm[16];        /// command @width 15
	struct ebpm_ip laddr; /// local address
	struct ebpm_ip raddr; /// remote address
	__u16 lport;          /// local port
	__u16 rport;          /// remote port
};

#endif
