/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef EBPM_FILE_H
#define EBPM_FILE_H

#include <bpf/bpf_core_read.h>

/* The file that the current process has open under a descriptor; NULL if there is none. */
static __always_inline struct file *file_of(unsigned int fd)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd), *file = NULL;

	if (fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file;
}

/* Whether a file is a regular one. */
static __always_inline bool is_regular(struct file *file)
{
	return (BPF_CORE_READ(file, f_inode, i_mode) & 0170000) == 0100000;
}

/* The last part of a file's path, into a char array. */
#define file_name(into, file)                                                                  \
	bpf_probe_read_kernel_str(into, sizeof(into),                                          \
				  BPF_CORE_READ(file, f_path.dentry, d_name.name))

#endif
