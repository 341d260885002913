/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef BIOSNOOP_H
#define BIOSNOOP_H

/* The operations of block I/O (include/linux/blk_types.h). */
enum block_op {
	BLOCK_READ = 0,
	BLOCK_WRITE = 1,
	BLOCK_FLUSH = 2,
	BLOCK_DISCARD = 3,
	BLOCK_SECURE_ERASE = 5,
	BLOCK_WRITE_ZEROES = 9,
};

struct event {
	__u32 pid;        /// process that issued it
	__u32 bytes;      /// how large it was
	__u64 sector;     /// where, in sectors of 512 bytes @width 10
	__u64 lat_us;     /// from being issued to being completed, microseconds
	__u64 queue_us;   /// in the queue before that, microseconds; only with -Q
	enum block_op op; /// what was done @width 14
	char comm[16];    /// command that issued it @width 15
	char disk[32];    /// name of the disk
};

#endif
