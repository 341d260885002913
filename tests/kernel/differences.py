"""In what our tools and their namesakes in Debian's libbpf-tools differ, and why.

What is not listed must be equal: test_namesakes.py and test_pairs.py compare, and the guide
docs/guides/libbpf-tools.md has this table.
"""

from __future__ import annotations

DIFFERENCES = {
    "biolatency": "none in what it counts; with `-F` theirs writes the flags as words, ours as the"
    " letters of blktrace; each counts for as long as it runs itself",
    "biosnoop": "theirs tells who caused a request, ours who issued it: reads ahead are a worker's",
    "cpudist": "theirs, without `-O`, counts only times at whose end the task could have run on;"
    " ours all; with `-c` theirs looks at the task that happens to run, ours at the one that is"
    " measured. Each takes its own time, so that one may be in the slot beside",
    "execsnoop": "the first argument is the program's path there, and what the program was given"
    " here; with `-x` ours has at most 20 arguments of a call that failed",
    "exitsnoop": "theirs has one column for status or signal, ours two",
    "filetop": "theirs counts bytes asked for, ours those that were transferred; theirs leaves"
    " readv(2) and writev(2) out; theirs has rows of threads, ours of processes",
    "fsslower": "theirs is for one file system at a time, ours for all; the end of what is synced"
    " is in the column of bytes there, 0 here",
    "hardirqs": "none in what it counts; each counts for as long as it runs itself",
    "memleak": "ours has bytes and calls in columns",
    "mountsnoop": "theirs prints a call with the names of flags and errors, ours columns",
    "offcputime": "at the top of a stack is the tool's own program; theirs takes no `-p` beside"
    " `-u` and `-k`",
    "oomkill": "theirs tells the victim's command and the pages too",
    "opensnoop": "ours has openat2(2) too",
    "profile": "each takes samples of its own",
    "runqlat": "with `-c` theirs looks at the task that happens to run, ours at the one that is"
    " measured. Each takes its own time, so that a wait may be in the slot beside",
    "runqlen": "each takes samples of its own",
    "runqslower": "each takes its own time: a wait of about the least time may be in one alone",
    "sigsnoop": "theirs reports the kernel's own signals too, and takes those of system calls where"
    " they arrive, so that one to no process is missing; with `-k` it does what ours does",
    "softirqs": "none in what it counts; each counts for as long as it runs itself",
    "statsnoop": "theirs has errors apart from results",
    "syscount": "theirs counts the exit of a call that had begun before; ours what it saw begin",
    "tcplife": "ours reports the end of listening sockets too",
    "tcptop": "theirs counts kB, ours bytes",
}
"""By the tools' name, in Markdown."""
