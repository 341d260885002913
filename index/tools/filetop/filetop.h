/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef FILETOP_H
#define FILETOP_H

struct file_id {
	__u32 pid;     /// process
	char comm[16]; /// command @width 15
	char file[32]; /// name of the file, without its folder @width 24
};

struct traffic {
	__u64 reads;   /// calls that read
	__u64 writes;  /// calls that wrote
	__u64 r_bytes; /// bytes read @width 10
	__u64 w_bytes; /// bytes written
};

#endif
