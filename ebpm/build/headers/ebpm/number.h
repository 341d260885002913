/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef EBPM_NUMBER_H
#define EBPM_NUMBER_H

/* Numbers that ebpm prints by their names, and takes by them as options. */
typedef int ebpm_syscall; /* of a system call on this machine: openat */
typedef int ebpm_signal;  /* SIGTERM */
typedef int ebpm_errno;   /* ENOENT is 2 */
typedef int ebpm_result;  /* of a system call: ENOENT is -2; what is not negative is no error */

#endif
