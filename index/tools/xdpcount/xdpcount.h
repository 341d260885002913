/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef XDPCOUNT_H
#define XDPCOUNT_H

enum ethertype { OTHER, IPV4, IPV6, ARP };

struct packet {
	enum ethertype ethertype; /// what the frame carries
	__u32 protocol;           /// protocol above IP: 6 is TCP, 17 is UDP, 1 is ICMP
};

struct traffic {
	__u64 packets; /// how many
	__u64 bytes;   /// how many, headers included
};

#endif
