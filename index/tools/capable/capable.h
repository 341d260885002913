/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef CAPABLE_H
#define CAPABLE_H

/* The capabilities by number (capabilities(7)), without CAP_ in front. */
enum capability_name {
	C_CHOWN,
	C_DAC_OVERRIDE,
	C_DAC_READ_SEARCH,
	C_FOWNER,
	C_FSETID,
	C_KILL,
	C_SETGID,
	C_SETUID,
	C_SETPCAP,
	C_LINUX_IMMUTABLE,
	C_NET_BIND_SERVICE,
	C_NET_BROADCAST,
	C_NET_ADMIN,
	C_NET_RAW,
	C_IPC_LOCK,
	C_IPC_OWNER,
	C_SYS_MODULE,
	C_SYS_RAWIO,
	C_SYS_CHROOT,
	C_SYS_PTRACE,
	C_SYS_PACCT,
	C_SYS_ADMIN,
	C_SYS_BOOT,
	C_SYS_NICE,
	C_SYS_RESOURCE,
	C_SYS_TIME,
	C_SYS_TTY_CONFIG,
	C_MKNOD,
	C_LEASE,
	C_AUDIT_WRITE,
	C_AUDIT_CONTROL,
	C_SETFCAP,
	C_MAC_OVERRIDE,
	C_MAC_ADMIN,
	C_SYSLOG,
	C_WAKE_ALARM,
	C_BLOCK_SUSPEND,
	C_AUDIT_READ,
	C_PERFMON,
	C_BPF,
	C_CHECKPOINT_RESTORE,
};

/* What an event is reported once for. */
enum unique { off, pid, cgroup };

struct event {
	__u32 pid;                /// process
	__u32 tid;                /// thread
	__u32 uid;                /// user
	ebpm_result ret;          /// 0 if it has it, else -1 (EPERM)
	char comm[16];            /// command @width 15
	enum capability_name cap; /// which
};

struct place {
	__u32 pid;                /// process
	int kern_stack_id;        /// stack in the kernel
	int user_stack_id;        /// stack in user space
	char comm[16];            /// command
	enum capability_name cap; /// which
};

struct asked {
	__u64 count;              /// how often it was asked there
	enum capability_name cap; /// for which
};

#endif
