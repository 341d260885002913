/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef MOUNTSNOOP_H
#define MOUNTSNOOP_H

enum op { MOUNT, UNMOUNT };

struct event {
	__u32 pid;        /// process
	ebpm_result ret;  /// 0, or the negative errno
	__u64 us;         /// how long the call took, microseconds
	__u64 flags;      /// MS_* of mount(2), or MNT_* of umount2(2)
	char comm[16];    /// command @width 15
	enum op op;       /// which of the two @width 10
	char type[16];    /// file system type, as given @width 8
	char source[128]; /// what is mounted, as given @width 20
	char target[128]; /// where, as given
};

#endif
