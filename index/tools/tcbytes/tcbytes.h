/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TCBYTES_H
#define TCBYTES_H

struct peer {
	struct ebpm_ip addr; /// address at the other end
};

struct traffic {
	__u64 sent;     /// bytes, headers included @width 10
	__u64 received; /// bytes, headers included
};

#endif
