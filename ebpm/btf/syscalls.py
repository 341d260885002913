"""Numbers of system calls, by machine. Made by scripts/syscalls out of the kernel's headers.

A line is a number and the names of the calls from there on.
"""

MACHINES = {
    "x86_64": "x86_64",
    "aarch64": "arm64",
    "riscv64": "riscv64",
    "loongarch64": "loongarch64",
    "ppc64le": "ppc64",
    "ppc64": "ppc64",
    "s390x": "s390x",
}
"""The table of each machine, as uname(2) names it."""

TABLES = {
    "x86_64": """\
0 read write open close stat fstat lstat poll lseek mmap mprotect munmap brk rt_sigaction
14 rt_sigprocmask rt_sigreturn ioctl pread64 pwrite64 readv writev access pipe select
24 sched_yield mremap msync mincore madvise shmget shmat shmctl dup dup2 pause nanosleep
36 getitimer alarm setitimer getpid sendfile socket connect accept sendto recvfrom sendmsg
47 recvmsg shutdown bind listen getsockname getpeername socketpair setsockopt getsockopt clone
57 fork vfork execve exit wait4 kill uname semget semop semctl shmdt msgget msgsnd msgrcv
71 msgctl fcntl flock fsync fdatasync truncate ftruncate getdents getcwd chdir fchdir rename
83 mkdir rmdir creat link unlink symlink readlink chmod fchmod chown fchown lchown umask
96 gettimeofday getrlimit getrusage sysinfo times ptrace getuid syslog getgid setuid setgid
107 geteuid getegid setpgid getppid getpgrp setsid setreuid setregid getgroups setgroups
117 setresuid getresuid setresgid getresgid getpgid setfsuid setfsgid getsid capget capset
127 rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_sigsuspend sigaltstack utime mknod uselib
135 personality ustat statfs fstatfs sysfs getpriority setpriority sched_setparam sched_getparam
144 sched_setscheduler sched_getscheduler sched_get_priority_max sched_get_priority_min
148 sched_rr_get_interval mlock munlock mlockall munlockall vhangup modify_ldt pivot_root
156 _sysctl prctl arch_prctl adjtimex setrlimit chroot sync acct settimeofday mount umount2
167 swapon swapoff reboot sethostname setdomainname iopl ioperm create_module init_module
176 delete_module get_kernel_syms query_module quotactl nfsservctl getpmsg putpmsg afs_syscall
184 tuxcall security gettid readahead setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr
194 listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr tkill time futex
203 sched_setaffinity sched_getaffinity set_thread_area io_setup io_destroy io_getevents
209 io_submit io_cancel get_thread_area lookup_dcookie epoll_create epoll_ctl_old epoll_wait_old
216 remap_file_pages getdents64 set_tid_address restart_syscall semtimedop fadvise64
222 timer_create timer_settime timer_gettime timer_getoverrun timer_delete clock_settime
228 clock_gettime clock_getres clock_nanosleep exit_group epoll_wait epoll_ctl tgkill utimes
236 vserver mbind set_mempolicy get_mempolicy mq_open mq_unlink mq_timedsend mq_timedreceive
244 mq_notify mq_getsetattr kexec_load waitid add_key request_key keyctl ioprio_set ioprio_get
253 inotify_init inotify_add_watch inotify_rm_watch migrate_pages openat mkdirat mknodat
260 fchownat futimesat newfstatat unlinkat renameat linkat symlinkat readlinkat fchmodat
269 faccessat pselect6 ppoll unshare set_robust_list get_robust_list splice tee sync_file_range
278 vmsplice move_pages utimensat epoll_pwait signalfd timerfd_create eventfd fallocate
286 timerfd_settime timerfd_gettime accept4 signalfd4 eventfd2 epoll_create1 dup3 pipe2
294 inotify_init1 preadv pwritev rt_tgsigqueueinfo perf_event_open recvmmsg fanotify_init
301 fanotify_mark prlimit64 name_to_handle_at open_by_handle_at clock_adjtime syncfs sendmmsg
308 setns getcpu process_vm_readv process_vm_writev kcmp finit_module sched_setattr
315 sched_getattr renameat2 seccomp getrandom memfd_create kexec_file_load bpf execveat
323 userfaultfd membarrier mlock2 copy_file_range preadv2 pwritev2 pkey_mprotect pkey_alloc
331 pkey_free statx io_pgetevents rseq uretprobe uprobe
424 pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree move_mount
430 fsopen fsconfig fsmount fspick pidfd_open clone3 close_range openat2 pidfd_getfd faccessat2
440 process_madvise epoll_pwait2 mount_setattr quotactl_fd landlock_create_ruleset
445 landlock_add_rule landlock_restrict_self memfd_secret process_mrelease futex_waitv
450 set_mempolicy_home_node cachestat fchmodat2 map_shadow_stack futex_wake futex_wait
456 futex_requeue statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal
463 setxattrat getxattrat listxattrat removexattrat open_tree_attr file_getattr file_setattr
470 listns rseq_slice_yield""",
    "arm64": """\
0 io_setup io_destroy io_submit io_cancel io_getevents setxattr lsetxattr fsetxattr getxattr
9 lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr
17 getcwd lookup_dcookie eventfd2 epoll_create1 epoll_ctl epoll_pwait dup dup3 fcntl
26 inotify_init1 inotify_add_watch inotify_rm_watch ioctl ioprio_set ioprio_get flock mknodat
34 mkdirat unlinkat symlinkat linkat renameat umount2 mount pivot_root nfsservctl statfs
44 fstatfs truncate ftruncate fallocate faccessat chdir fchdir chroot fchmod fchmodat fchownat
55 fchown openat close vhangup pipe2 quotactl getdents64 lseek read write readv writev pread64
68 pwrite64 preadv pwritev sendfile pselect6 ppoll signalfd4 vmsplice splice tee readlinkat
79 newfstatat fstat sync fsync fdatasync sync_file_range timerfd_create timerfd_settime
87 timerfd_gettime utimensat acct capget capset personality exit exit_group waitid
96 set_tid_address unshare futex set_robust_list get_robust_list nanosleep getitimer setitimer
104 kexec_load init_module delete_module timer_create timer_gettime timer_getoverrun
110 timer_settime timer_delete clock_settime clock_gettime clock_getres clock_nanosleep syslog
117 ptrace sched_setparam sched_setscheduler sched_getscheduler sched_getparam sched_setaffinity
123 sched_getaffinity sched_yield sched_get_priority_max sched_get_priority_min
127 sched_rr_get_interval restart_syscall kill tkill tgkill sigaltstack rt_sigsuspend
134 rt_sigaction rt_sigprocmask rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_sigreturn
140 setpriority getpriority reboot setregid setgid setreuid setuid setresuid getresuid setresgid
150 getresgid setfsuid setfsgid times setpgid getpgid getsid setsid getgroups setgroups uname
161 sethostname setdomainname getrlimit setrlimit getrusage umask prctl getcpu gettimeofday
170 settimeofday adjtimex getpid getppid getuid geteuid getgid getegid gettid sysinfo mq_open
181 mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr msgget msgctl msgrcv msgsnd
190 semget semctl semtimedop semop shmget shmctl shmat shmdt socket socketpair bind listen
202 accept connect getsockname getpeername sendto recvfrom setsockopt getsockopt shutdown
211 sendmsg recvmsg readahead brk munmap mremap add_key request_key keyctl clone execve mmap
223 fadvise64 swapon swapoff mprotect msync mlock munlock mlockall munlockall mincore madvise
234 remap_file_pages mbind get_mempolicy set_mempolicy migrate_pages move_pages
240 rt_tgsigqueueinfo perf_event_open accept4 recvmmsg
260 wait4 prlimit64 fanotify_init fanotify_mark name_to_handle_at open_by_handle_at
266 clock_adjtime syncfs setns sendmmsg process_vm_readv process_vm_writev kcmp finit_module
274 sched_setattr sched_getattr renameat2 seccomp getrandom memfd_create bpf execveat
282 userfaultfd membarrier mlock2 copy_file_range preadv2 pwritev2 pkey_mprotect pkey_alloc
290 pkey_free statx io_pgetevents rseq kexec_file_load
424 pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree move_mount
430 fsopen fsconfig fsmount fspick pidfd_open clone3 close_range openat2 pidfd_getfd faccessat2
440 process_madvise epoll_pwait2 mount_setattr quotactl_fd landlock_create_ruleset
445 landlock_add_rule landlock_restrict_self memfd_secret process_mrelease futex_waitv
450 set_mempolicy_home_node cachestat fchmodat2 map_shadow_stack futex_wake futex_wait
456 futex_requeue statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal
463 setxattrat getxattrat listxattrat removexattrat open_tree_attr file_getattr file_setattr
470 listns rseq_slice_yield""",
    "riscv64": """\
0 io_setup io_destroy io_submit io_cancel io_getevents setxattr lsetxattr fsetxattr getxattr
9 lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr
17 getcwd lookup_dcookie eventfd2 epoll_create1 epoll_ctl epoll_pwait dup dup3 fcntl
26 inotify_init1 inotify_add_watch inotify_rm_watch ioctl ioprio_set ioprio_get flock mknodat
34 mkdirat unlinkat symlinkat linkat
39 umount2 mount pivot_root nfsservctl statfs fstatfs truncate ftruncate fallocate faccessat
49 chdir fchdir chroot fchmod fchmodat fchownat fchown openat close vhangup pipe2 quotactl
61 getdents64 lseek read write readv writev pread64 pwrite64 preadv pwritev sendfile pselect6
73 ppoll signalfd4 vmsplice splice tee readlinkat newfstatat fstat sync fsync fdatasync
84 sync_file_range timerfd_create timerfd_settime timerfd_gettime utimensat acct capget capset
92 personality exit exit_group waitid set_tid_address unshare futex set_robust_list
100 get_robust_list nanosleep getitimer setitimer kexec_load init_module delete_module
107 timer_create timer_gettime timer_getoverrun timer_settime timer_delete clock_settime
113 clock_gettime clock_getres clock_nanosleep syslog ptrace sched_setparam sched_setscheduler
120 sched_getscheduler sched_getparam sched_setaffinity sched_getaffinity sched_yield
125 sched_get_priority_max sched_get_priority_min sched_rr_get_interval restart_syscall kill
130 tkill tgkill sigaltstack rt_sigsuspend rt_sigaction rt_sigprocmask rt_sigpending
137 rt_sigtimedwait rt_sigqueueinfo rt_sigreturn setpriority getpriority reboot setregid setgid
145 setreuid setuid setresuid getresuid setresgid getresgid setfsuid setfsgid times setpgid
155 getpgid getsid setsid getgroups setgroups uname sethostname setdomainname getrlimit
164 setrlimit getrusage umask prctl getcpu gettimeofday settimeofday adjtimex getpid getppid
174 getuid geteuid getgid getegid gettid sysinfo mq_open mq_unlink mq_timedsend mq_timedreceive
184 mq_notify mq_getsetattr msgget msgctl msgrcv msgsnd semget semctl semtimedop semop shmget
195 shmctl shmat shmdt socket socketpair bind listen accept connect getsockname getpeername
206 sendto recvfrom setsockopt getsockopt shutdown sendmsg recvmsg readahead brk munmap mremap
217 add_key request_key keyctl clone execve mmap fadvise64 swapon swapoff mprotect msync mlock
229 munlock mlockall munlockall mincore madvise remap_file_pages mbind get_mempolicy
237 set_mempolicy migrate_pages move_pages rt_tgsigqueueinfo perf_event_open accept4 recvmmsg
258 riscv_hwprobe riscv_flush_icache wait4 prlimit64 fanotify_init fanotify_mark
264 name_to_handle_at open_by_handle_at clock_adjtime syncfs setns sendmmsg process_vm_readv
271 process_vm_writev kcmp finit_module sched_setattr sched_getattr renameat2 seccomp getrandom
279 memfd_create bpf execveat userfaultfd membarrier mlock2 copy_file_range preadv2 pwritev2
288 pkey_mprotect pkey_alloc pkey_free statx io_pgetevents rseq kexec_file_load
424 pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree move_mount
430 fsopen fsconfig fsmount fspick pidfd_open clone3 close_range openat2 pidfd_getfd faccessat2
440 process_madvise epoll_pwait2 mount_setattr quotactl_fd landlock_create_ruleset
445 landlock_add_rule landlock_restrict_self memfd_secret process_mrelease futex_waitv
450 set_mempolicy_home_node cachestat fchmodat2 map_shadow_stack futex_wake futex_wait
456 futex_requeue statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal
463 setxattrat getxattrat listxattrat removexattrat open_tree_attr file_getattr file_setattr
470 listns rseq_slice_yield""",
    "loongarch64": """\
0 io_setup io_destroy io_submit io_cancel io_getevents setxattr lsetxattr fsetxattr getxattr
9 lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr
17 getcwd lookup_dcookie eventfd2 epoll_create1 epoll_ctl epoll_pwait dup dup3 fcntl
26 inotify_init1 inotify_add_watch inotify_rm_watch ioctl ioprio_set ioprio_get flock mknodat
34 mkdirat unlinkat symlinkat linkat
39 umount2 mount pivot_root nfsservctl statfs fstatfs truncate ftruncate fallocate faccessat
49 chdir fchdir chroot fchmod fchmodat fchownat fchown openat close vhangup pipe2 quotactl
61 getdents64 lseek read write readv writev pread64 pwrite64 preadv pwritev sendfile pselect6
73 ppoll signalfd4 vmsplice splice tee readlinkat newfstatat fstat sync fsync fdatasync
84 sync_file_range timerfd_create timerfd_settime timerfd_gettime utimensat acct capget capset
92 personality exit exit_group waitid set_tid_address unshare futex set_robust_list
100 get_robust_list nanosleep getitimer setitimer kexec_load init_module delete_module
107 timer_create timer_gettime timer_getoverrun timer_settime timer_delete clock_settime
113 clock_gettime clock_getres clock_nanosleep syslog ptrace sched_setparam sched_setscheduler
120 sched_getscheduler sched_getparam sched_setaffinity sched_getaffinity sched_yield
125 sched_get_priority_max sched_get_priority_min sched_rr_get_interval restart_syscall kill
130 tkill tgkill sigaltstack rt_sigsuspend rt_sigaction rt_sigprocmask rt_sigpending
137 rt_sigtimedwait rt_sigqueueinfo rt_sigreturn setpriority getpriority reboot setregid setgid
145 setreuid setuid setresuid getresuid setresgid getresgid setfsuid setfsgid times setpgid
155 getpgid getsid setsid getgroups setgroups uname sethostname setdomainname
165 getrusage umask prctl getcpu gettimeofday settimeofday adjtimex getpid getppid getuid
175 geteuid getgid getegid gettid sysinfo mq_open mq_unlink mq_timedsend mq_timedreceive
184 mq_notify mq_getsetattr msgget msgctl msgrcv msgsnd semget semctl semtimedop semop shmget
195 shmctl shmat shmdt socket socketpair bind listen accept connect getsockname getpeername
206 sendto recvfrom setsockopt getsockopt shutdown sendmsg recvmsg readahead brk munmap mremap
217 add_key request_key keyctl clone execve mmap fadvise64 swapon swapoff mprotect msync mlock
229 munlock mlockall munlockall mincore madvise remap_file_pages mbind get_mempolicy
237 set_mempolicy migrate_pages move_pages rt_tgsigqueueinfo perf_event_open accept4 recvmmsg
260 wait4 prlimit64 fanotify_init fanotify_mark name_to_handle_at open_by_handle_at
266 clock_adjtime syncfs setns sendmmsg process_vm_readv process_vm_writev kcmp finit_module
274 sched_setattr sched_getattr renameat2 seccomp getrandom memfd_create bpf execveat
282 userfaultfd membarrier mlock2 copy_file_range preadv2 pwritev2 pkey_mprotect pkey_alloc
290 pkey_free statx io_pgetevents rseq kexec_file_load
424 pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree move_mount
430 fsopen fsconfig fsmount fspick pidfd_open clone3 close_range openat2 pidfd_getfd faccessat2
440 process_madvise epoll_pwait2 mount_setattr quotactl_fd landlock_create_ruleset
445 landlock_add_rule landlock_restrict_self memfd_secret process_mrelease futex_waitv
450 set_mempolicy_home_node cachestat fchmodat2 map_shadow_stack futex_wake futex_wait
456 futex_requeue statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal
463 setxattrat getxattrat listxattrat removexattrat open_tree_attr file_getattr file_setattr
470 listns rseq_slice_yield""",
    "ppc64": """\
0 restart_syscall exit fork read write open close waitpid creat link unlink execve chdir time
14 mknod chmod lchown break oldstat lseek getpid mount umount setuid getuid stime ptrace alarm
28 oldfstat pause utime stty gtty access nice ftime sync kill rename mkdir rmdir dup pipe times
44 prof brk setgid getgid signal geteuid getegid acct umount2 lock ioctl fcntl mpx setpgid
58 ulimit oldolduname umask chroot ustat dup2 getppid getpgrp setsid sigaction sgetmask
69 ssetmask setreuid setregid sigsuspend sigpending sethostname setrlimit getrlimit getrusage
78 gettimeofday settimeofday getgroups setgroups select symlink oldlstat readlink uselib swapon
88 reboot readdir mmap munmap truncate ftruncate fchmod fchown getpriority setpriority profil
99 statfs fstatfs ioperm socketcall syslog setitimer getitimer stat lstat fstat olduname iopl
111 vhangup idle vm86 wait4 swapoff sysinfo ipc fsync sigreturn clone setdomainname uname
123 modify_ldt adjtimex mprotect sigprocmask create_module init_module delete_module
130 get_kernel_syms quotactl getpgid fchdir bdflush sysfs personality afs_syscall setfsuid
139 setfsgid _llseek getdents _newselect flock msync readv writev getsid fdatasync _sysctl mlock
151 munlock mlockall munlockall sched_setparam sched_getparam sched_setscheduler
157 sched_getscheduler sched_yield sched_get_priority_max sched_get_priority_min
161 sched_rr_get_interval nanosleep mremap setresuid getresuid query_module poll nfsservctl
169 setresgid getresgid prctl rt_sigreturn rt_sigaction rt_sigprocmask rt_sigpending
176 rt_sigtimedwait rt_sigqueueinfo rt_sigsuspend pread64 pwrite64 chown getcwd capget capset
185 sigaltstack sendfile getpmsg putpmsg vfork ugetrlimit readahead
198 pciconfig_read pciconfig_write pciconfig_iobase multiplexer getdents64 pivot_root
205 madvise mincore gettid tkill setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr
215 listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr futex
222 sched_setaffinity sched_getaffinity
225 tuxcall
227 io_setup io_destroy io_getevents io_submit io_cancel set_tid_address fadvise64 exit_group
235 lookup_dcookie epoll_create epoll_ctl epoll_wait remap_file_pages timer_create timer_settime
242 timer_gettime timer_getoverrun timer_delete clock_settime clock_gettime clock_getres
248 clock_nanosleep swapcontext tgkill utimes statfs64 fstatfs64
255 rtas sys_debug_setcontext
258 migrate_pages mbind get_mempolicy set_mempolicy mq_open mq_unlink mq_timedsend
265 mq_timedreceive mq_notify mq_getsetattr kexec_load add_key request_key keyctl waitid
273 ioprio_set ioprio_get inotify_init inotify_add_watch inotify_rm_watch spu_run spu_create
280 pselect6 ppoll unshare splice tee vmsplice openat mkdirat mknodat fchownat futimesat
291 newfstatat unlinkat renameat linkat symlinkat readlinkat fchmodat faccessat get_robust_list
300 set_robust_list move_pages getcpu epoll_pwait utimensat signalfd timerfd_create eventfd
308 sync_file_range2 fallocate subpage_prot timerfd_settime timerfd_gettime signalfd4 eventfd2
315 epoll_create1 dup3 pipe2 inotify_init1 perf_event_open preadv pwritev rt_tgsigqueueinfo
323 fanotify_init fanotify_mark prlimit64 socket bind connect listen accept getsockname
332 getpeername socketpair send sendto recv recvfrom shutdown setsockopt getsockopt sendmsg
342 recvmsg recvmmsg accept4 name_to_handle_at open_by_handle_at clock_adjtime syncfs sendmmsg
350 setns process_vm_readv process_vm_writev finit_module kcmp sched_setattr sched_getattr
357 renameat2 seccomp getrandom memfd_create bpf execveat switch_endian userfaultfd membarrier
378 mlock2 copy_file_range preadv2 pwritev2 kexec_file_load statx pkey_alloc pkey_free
386 pkey_mprotect rseq io_pgetevents
392 semtimedop semget semctl shmget shmctl shmat shmdt msgget msgsnd msgrcv msgctl
424 pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree move_mount
430 fsopen fsconfig fsmount fspick pidfd_open clone3 close_range openat2 pidfd_getfd faccessat2
440 process_madvise epoll_pwait2 mount_setattr quotactl_fd landlock_create_ruleset
445 landlock_add_rule landlock_restrict_self
448 process_mrelease futex_waitv set_mempolicy_home_node cachestat fchmodat2 map_shadow_stack
454 futex_wake futex_wait futex_requeue statmount listmount lsm_get_self_attr lsm_set_self_attr
461 lsm_list_modules mseal setxattrat getxattrat listxattrat removexattrat open_tree_attr
468 file_getattr file_setattr listns rseq_slice_yield""",
    "s390x": """\
1 exit fork read write open close restart_syscall creat link unlink execve chdir
14 mknod chmod
19 lseek getpid mount umount
26 ptrace alarm
29 pause utime
33 access nice
36 sync kill rename mkdir rmdir dup pipe times
45 brk
48 signal
51 acct umount2
54 ioctl fcntl
57 setpgid
60 umask chroot ustat dup2 getppid getpgrp setsid sigaction
72 sigsuspend sigpending sethostname setrlimit
77 getrusage gettimeofday settimeofday
83 symlink
85 readlink uselib swapon reboot readdir mmap munmap truncate ftruncate fchmod
96 getpriority setpriority
99 statfs fstatfs
102 socketcall syslog setitimer getitimer stat lstat fstat
110 lookup_dcookie vhangup idle
114 wait4 swapoff sysinfo ipc fsync sigreturn clone setdomainname uname
124 adjtimex mprotect sigprocmask create_module init_module delete_module get_kernel_syms
131 quotactl getpgid fchdir bdflush sysfs personality afs_syscall
141 getdents select flock msync readv writev getsid fdatasync _sysctl mlock munlock mlockall
153 munlockall sched_setparam sched_getparam sched_setscheduler sched_getscheduler sched_yield
159 sched_get_priority_max sched_get_priority_min sched_rr_get_interval nanosleep mremap
167 query_module poll nfsservctl
172 prctl rt_sigreturn rt_sigaction rt_sigprocmask rt_sigpending rt_sigtimedwait rt_sigqueueinfo
179 rt_sigsuspend pread64 pwrite64
183 getcwd capget capset sigaltstack sendfile getpmsg putpmsg vfork getrlimit
198 lchown getuid getgid geteuid getegid setreuid setregid getgroups setgroups fchown setresuid
209 getresuid setresgid getresgid chown setuid setgid setfsuid setfsgid pivot_root mincore
219 madvise getdents64
222 readahead
224 setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr
233 removexattr lremovexattr fremovexattr gettid tkill futex sched_setaffinity sched_getaffinity
241 tgkill
243 io_setup io_destroy io_getevents io_submit io_cancel exit_group epoll_create epoll_ctl
251 epoll_wait set_tid_address fadvise64 timer_create timer_settime timer_gettime
257 timer_getoverrun timer_delete clock_settime clock_gettime clock_getres clock_nanosleep
265 statfs64 fstatfs64 remap_file_pages mbind get_mempolicy set_mempolicy mq_open mq_unlink
273 mq_timedsend mq_timedreceive mq_notify mq_getsetattr kexec_load add_key request_key keyctl
281 waitid ioprio_set ioprio_get inotify_init inotify_add_watch inotify_rm_watch migrate_pages
288 openat mkdirat mknodat fchownat futimesat newfstatat unlinkat renameat linkat symlinkat
298 readlinkat fchmodat faccessat pselect6 ppoll unshare set_robust_list get_robust_list splice
307 sync_file_range tee vmsplice move_pages getcpu epoll_pwait utimes fallocate utimensat
316 signalfd timerfd eventfd timerfd_create timerfd_settime timerfd_gettime signalfd4 eventfd2
324 inotify_init1 pipe2 dup3 epoll_create1 preadv pwritev rt_tgsigqueueinfo perf_event_open
332 fanotify_init fanotify_mark prlimit64 name_to_handle_at open_by_handle_at clock_adjtime
338 syncfs setns process_vm_readv process_vm_writev s390_runtime_instr kcmp finit_module
345 sched_setattr sched_getattr renameat2 seccomp getrandom memfd_create bpf s390_pci_mmio_write
353 s390_pci_mmio_read execveat userfaultfd membarrier recvmmsg sendmmsg socket socketpair bind
362 connect listen accept4 getsockopt setsockopt getsockname getpeername sendto sendmsg recvfrom
372 recvmsg shutdown mlock2 copy_file_range preadv2 pwritev2 s390_guarded_storage statx
380 s390_sthyi kexec_file_load io_pgetevents rseq pkey_mprotect pkey_alloc pkey_free
392 semtimedop semget semctl shmget shmctl shmat shmdt msgget msgsnd msgrcv msgctl
424 pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree move_mount
430 fsopen fsconfig fsmount fspick pidfd_open clone3 close_range openat2 pidfd_getfd faccessat2
440 process_madvise epoll_pwait2 mount_setattr quotactl_fd landlock_create_ruleset
445 landlock_add_rule landlock_restrict_self memfd_secret process_mrelease futex_waitv
450 set_mempolicy_home_node cachestat fchmodat2 map_shadow_stack futex_wake futex_wait
456 futex_requeue statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal
463 setxattrat getxattrat listxattrat removexattrat open_tree_attr file_getattr file_setattr
470 listns rseq_slice_yield""",
}
