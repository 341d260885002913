/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TCPRETRANS_H
#define TCPRETRANS_H

struct event {
	__u32 pid;            /// process that ran then, seldom the one that has the connection
	enum tcp_state state; /// state of the connection @width 14
	struct ebpm_ip laddr; /// local address
	struct ebpm_ip raddr; /// remote address
	__u16 lport;          /// local port
	__u16 rport;          /// remote port
};

#endif
