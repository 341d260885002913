"""``ebpm run`` as a process: what it prints, and how it ends."""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import ROOT, Ebpm

pytestmark = pytest.mark.needs("compiler", "bpf")
Tools = Callable[[str], Path]
ME = str(os.getpid())


@pytest.fixture
def sigsnoop(tools: Tools) -> str:
    return str(tools("sigsnoop") / "package.json")


@contextmanager
def signalling(pid: int | None = None) -> Iterator[None]:
    """Send signal 0 to a process, ourselves as a rule, again and again."""
    done = threading.Event()

    def send() -> None:
        while not done.wait(0.01):
            os.kill(pid or os.getpid(), 0)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def lines_of(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(count)]


def end(process: subprocess.Popen[str]) -> tuple[str, str, int]:
    out, err = process.communicate(timeout=20)
    assert "Traceback" not in err, err
    return out, err, process.returncode


def test_events_are_printed_as_a_table(ebpm: Ebpm, sigsnoop: str) -> None:
    with signalling():
        done = ebpm.run("run", "--count", 3, sigsnoop, "--filtered_pid", ME)
    header, *rows = done.stdout.splitlines()
    assert header == "TIME     PID     TPID    SIG     RET     COMM    "
    assert len(rows) == 3
    for row in rows:
        assert re.fullmatch(rf"\d\d:\d\d:\d\d  {ME} +{ME} +0 +0 +\S.*", row)
    assert done.stderr == ""


def test_events_are_printed_as_json(ebpm: Ebpm, sigsnoop: str) -> None:
    with signalling():
        done = ebpm.run("run", "--json", "--count", 2, sigsnoop, "-p", ME)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(events) == 2
    names = {"sig_name", "ret_name"}
    assert set(events[0]) == {"pid", "tpid", "sig", "ret", "comm"} | names
    assert events[0]["pid"] == int(ME)


def test_a_filter_of_the_tool_is_the_kernels(ebpm: Ebpm, sigsnoop: str) -> None:
    with signalling():
        done = ebpm.run("run", "-d", "0.5s", sigsnoop, "-p", ME, "--target_signal", "9")
    assert done.stdout == ""


def test_output_goes_to_a_file(ebpm: Ebpm, sigsnoop: str, work: Path) -> None:
    with signalling():
        done = ebpm.run("run", "-o", "events", "-c", 1, sigsnoop, "-p", ME)
    assert done.stdout == ""
    assert (work / "events").read_text().startswith("TIME")


def test_an_output_that_cannot_be_opened_is_an_error(ebpm: Ebpm, sigsnoop: str) -> None:
    done = ebpm.run("run", "-o", "/nowhere/events", sigsnoop, check=1)
    assert "error[output-failed]: cannot open /nowhere/events" in done.stderr


def test_a_full_disk_is_an_error(ebpm: Ebpm, sigsnoop: str) -> None:
    with signalling():
        done = ebpm.run("run", "-o", "/dev/full", sigsnoop, "-p", ME, check=1)
    assert "error[output-failed]: cannot write to /dev/full: No space left" in done.stderr


def test_the_tools_help_is_printed_and_is_no_error(ebpm: Ebpm, sigsnoop: str) -> None:
    done = ebpm.run("run", sigsnoop, "--help")
    assert done.stdout.startswith("Usage: sigsnoop_bpf [--help]")
    assert "-s, --target_signal   Signal to trace" in done.stdout
    assert ebpm.run("run", sigsnoop, "-h").stdout == done.stdout


def test_the_tools_version_is_its_own(ebpm: Ebpm, sigsnoop: str) -> None:
    assert ebpm.run("run", sigsnoop, "--version").stdout == "1.0.0\n"


def test_our_own_help_comes_before_a_target(ebpm: Ebpm) -> None:
    out = ebpm.run("run", "--help").stdout
    assert "ebpm run" in out
    assert "--duration TIME" in out


def test_a_value_out_of_range_names_variable_type_and_range(ebpm: Ebpm, sigsnoop: str) -> None:
    done = ebpm.run("run", sigsnoop, "-s", "99999999999", check=2)
    assert "option -s: 99999999999 is out of range for ebpm_signal" in done.stderr
    assert "for variable target_signal of type ebpm_signal" in done.stderr
    assert "-2147483648 to 2147483647" in done.stderr


def test_without_a_target_the_usage_is_shown(ebpm: Ebpm) -> None:
    assert "Usage: ebpm run" in ebpm.run("run", check=None).stderr


def test_libbpfs_log_is_shown_on_request(ebpm: Ebpm, sigsnoop: str) -> None:
    done = ebpm.run("run", "--verbose", "-d", "0.1s", sigsnoop)
    assert "libbpf: loading" in done.stderr
    assert ebpm.run("run", "-d", "0.1s", sigsnoop, "--verbose").stderr.count("libbpf:") > 10


# --- where tools come from -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["package.json", "sigsnoop.skel.json", "sigsnoop.bpf.o"])
def test_a_file_of_any_form_runs(ebpm: Ebpm, tools: Tools, name: str) -> None:
    path = tools("sigsnoop") / name
    with signalling():
        done = ebpm.run("run", "-c", 1, path, "--filtered_pid", ME)
    assert done.stdout.splitlines()[0].split() == ["TIME", "PID", "TPID", "SIG", "RET", "COMM"]


@pytest.mark.parametrize("name", ["", "sigsnoop.bpf.c"])
def test_a_source_or_its_folder_runs(ebpm: Ebpm, name: str) -> None:
    with signalling():
        done = ebpm.run("run", "-c", 1, ROOT / "index/tools/sigsnoop" / name, "-p", ME)
    assert done.stdout.splitlines()[0].split() == ["TIME", "PID", "TPID", "SIG", "RET", "COMM"]


def test_a_package_on_standard_input_runs(ebpm: Ebpm, sigsnoop: str) -> None:
    with signalling(), open(sigsnoop, "rb") as file:
        done = ebpm.run("run", "-c", 1, "-", "-p", ME, stdin=file)
    assert done.stdout.startswith("TIME")


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_package_behind_a_url_runs(ebpm: Ebpm, tools: Tools) -> None:
    with signalling(), serving(tools("sigsnoop")) as url:
        done = ebpm.run("run", "-c", 1, f"{url}/package.json", "-p", ME)
        missing = ebpm.run("run", f"{url}/other.json", check=3)
    assert done.stdout.startswith("TIME")
    assert "error[target-not-found]" in missing.stderr


def test_a_name_runs_out_of_the_store_and_a_second_time_out_of_its_plan(
    ebpm: Ebpm, tools: Tools
) -> None:
    store = os.environ["EBPM_STORE"]
    ebpm.run("push", tools("sigsnoop") / "package.json", "oci:layout:1.0", cwd=Path(store).parent)
    ebpm.run("pull", "oci:layout:1.0", "-t", "sigsnoop", cwd=Path(store).parent)
    plans = Path(os.environ["EBPM_CACHE"]) / "plans"
    for _ in range(2):
        with signalling():
            done = ebpm.run("run", "-c", 1, "sigsnoop", "-p", ME)
        assert done.stdout.startswith("TIME")
        assert len(list(plans.iterdir())) == 1


def test_the_plan_is_not_needed_and_not_believed_if_others_may_write_it(
    ebpm: Ebpm, tools: Tools
) -> None:
    home = Path(os.environ["HOME"])
    ebpm.run("push", tools("sigsnoop") / "package.json", "oci:layout:1.0", cwd=home)
    ebpm.run("pull", "oci:layout:1.0", cwd=home)
    ebpm.run("run", "-d", "0.1s", "sigsnoop:1.0")
    plans = Path(os.environ["EBPM_CACHE"]) / "plans"
    (plan,) = plans.iterdir()
    plan.write_text(plan.read_text().replace("sys_enter_kill", "sys_enter_nonsense"))
    plans.chmod(0o777)
    with signalling():
        assert ebpm.run("run", "-c", 1, "sigsnoop:1.0", "-p", ME).stdout.startswith("TIME")


def test_a_blob_with_a_flipped_byte_never_reaches_the_kernel(ebpm: Ebpm, tools: Tools) -> None:
    home = Path(os.environ["HOME"])
    ebpm.run("push", tools("sigsnoop") / "package.json", "oci:layout:1.0", cwd=home)
    ebpm.run("pull", "oci:layout:1.0", cwd=home)
    ebpm.run("run", "-d", "0.1s", "sigsnoop:1.0")  # the plan is kept now
    blobs = (home / "store" / "blobs" / "sha256").iterdir()
    (blob,) = [path for path in blobs if path.read_bytes().startswith(b"\x7fELF")]
    data = bytearray(blob.read_bytes())
    data[-100] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    done = ebpm.run("run", "-d", "0.1s", "sigsnoop:1.0", check=6)
    assert "error[digest-mismatch]" in done.stderr


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("nosuch", 3, "target-not-found"),
        ("./nosuch.json", 3, "target-not-found"),
        ("/nowhere/package.json", 3, "target-not-found"),
        ("oci:/nowhere", 3, "target-not-found"),
        ("Not A Name", 2, "invalid-reference"),
        ("localhost:1/tools/x:1", 5, "registry-unreachable"),
        ("http://127.0.0.1:1/package.json", 5, "registry-unreachable"),
    ],
)
def test_a_target_that_is_not_there(ebpm: Ebpm, target: str, status: int, code: str) -> None:
    done = ebpm.run("run", target, check=status)
    assert f"error[{code}]: " in done.stderr
    assert "\nhint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_that_is_nearly_right_gets_the_nearest(ebpm: Ebpm, tools: Tools) -> None:
    home = Path(os.environ["HOME"])
    ebpm.run("push", tools("sigsnoop") / "package.json", "oci:layout:1.0", cwd=home)
    ebpm.run("pull", "oci:layout:1.0", cwd=home)
    assert "the store has sigsnoop:1.0" in ebpm.run("run", "sigsnop", check=3).stderr


# --- how it ends ---------------------------------------------------------------------------------


def test_a_reader_that_leaves_ends_it_quietly(ebpm: Ebpm, sigsnoop: str) -> None:
    with signalling():
        process = ebpm.start("run", sigsnoop, "-p", ME)
        assert lines_of(process, 1)[0].startswith("TIME")
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, err, status = end(process)
    assert (err, status) == ("", 0)


def test_head_works_as_in_any_pipeline(sigsnoop: str) -> None:
    with signalling():
        command = f"{sys.executable} -m ebpm run {sigsnoop} -p {ME} | head -1"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30)
    assert done.stdout.startswith("TIME")
    assert done.stderr == ""


def test_a_closed_standard_output_is_an_error_without_a_traceback(sigsnoop: str) -> None:
    with signalling():
        command = f"{sys.executable} -m ebpm run -c 1 {sigsnoop} -p {ME} >&-"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30)
    assert "Traceback" not in done.stderr
    assert "error[output-failed]" in done.stderr


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_it_and_nothing_is_left(
    ebpm: Ebpm, sigsnoop: str, number: signal.Signals, status: int
) -> None:
    with signalling():
        process = ebpm.start("run", sigsnoop, "-p", ME)
        lines_of(process, 2)
        process.send_signal(number)
        out, err, code = end(process)
    assert code == status
    assert err == ""
    assert out == "" or out.endswith("\n")


def test_a_stalled_reader_does_not_keep_it_from_ending(ebpm: Ebpm, tools: Tools) -> None:
    """The pipe is full and nobody reads: Ctrl-C must still work, and losses be counted."""
    stop = threading.Event()
    opened = 0

    def busy() -> None:
        nonlocal opened
        while not stop.is_set():
            os.close(os.open("/dev/null", os.O_RDONLY))
            opened += 1

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        process = ebpm.start("run", tools("opensnoop") / "package.json", "-p", ME)
        lines_of(process, 2)
        before = opened
        while opened < before + 12_000:  # three times what the ring and the pipe hold
            time.sleep(0.01)
        with open(f"/proc/{process.pid}/status") as file:
            (resident,) = [int(line.split()[1]) for line in file if line.startswith("VmRSS")]
        process.send_signal(signal.SIGINT)
        process.wait(10)
    finally:
        stop.set()
        thread.join()
    assert process.returncode == 130
    assert process.stderr is not None
    err = process.stderr.read()
    process.communicate()
    assert "Traceback" not in err
    assert re.search(r"warning: opensnoop: \d+ events were lost", err)
    assert resident < 100_000, "kB; what is not read is not kept"


def test_a_duration_ends_a_stalled_run_too(ebpm: Ebpm, tools: Tools) -> None:
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            os.close(os.open("/dev/null", os.O_RDONLY))

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        process = ebpm.start("run", "-d", "2s", tools("opensnoop") / "package.json", "-p", ME)
        lines_of(process, 2)
        assert process.wait(15) == 0
    finally:
        stop.set()
        thread.join()
    process.communicate()


# --- the command after -- ------------------------------------------------------------------------


def test_only_the_command_is_traced_while_it_runs(ebpm: Ebpm, sigsnoop: str) -> None:
    script = "kill -0 $$; kill -0 $$; exit 7"
    with signalling():
        done = ebpm.run("run", "--json", sigsnoop, "--", "sh", "-c", script, check=7)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(events) == 2
    assert len({event["pid"] for event in events}) == 1
    assert events[0]["pid"] != int(ME)


def test_a_tool_without_a_pid_option_is_filtered_here(ebpm: Ebpm, tools: Tools) -> None:
    done = ebpm.run("run", "--json", tools("execsnoop") / "package.json", "--", "/bin/echo", "hi")
    said, *events = sorted(done.stdout.splitlines(), key=lambda line: line.startswith("{"))
    assert said == "hi"
    assert [json.loads(line)["args"] for line in events] == ["/bin/echo hi"]


def test_the_options_of_the_tool_stand_before_the_command(ebpm: Ebpm, sigsnoop: str) -> None:
    done = ebpm.run("run", sigsnoop, "-s", "9", "--", "sh", "-c", "kill -0 $$")
    assert done.stdout == ""


@pytest.mark.parametrize(("command", "said"), [("/nowhere/x", "No such file"), ("/etc", "denied")])
def test_a_command_that_cannot_start(ebpm: Ebpm, sigsnoop: str, command: str, said: str) -> None:
    done = ebpm.run("run", sigsnoop, "--", command, check=3)
    assert f"error[command-not-started]: cannot start '{command}'" in done.stderr
    assert said in done.stderr


def test_two_dashes_without_a_command_are_a_mistake(ebpm: Ebpm, sigsnoop: str) -> None:
    assert "no command after --" in ebpm.run("run", sigsnoop, "--", check=2).stderr


def test_a_command_that_a_signal_ended_is_told_by_the_status(ebpm: Ebpm, sigsnoop: str) -> None:
    ebpm.run("run", sigsnoop, "--", "sh", "-c", "kill -9 $$", check=137)


# --- surroundings --------------------------------------------------------------------------------


HOSTILE = "a\x1b[31m\n\u202e\xff?"


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "en_US.ISO-8859-1"])
def test_hostile_file_names_in_any_locale(
    ebpm: Ebpm, tools: Tools, work: Path, locale: str
) -> None:
    name = HOSTILE.encode("utf-8", "surrogateescape")[:-3] + b"\xff?"
    script = f"open({os.fsencode(work) + b'/' + name!r}, 'w')"
    environment = {**os.environ, "LC_ALL": locale, "LANG": locale}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "ebpm",
            "run",
            tools("opensnoop") / "package.json",
            "--",
            sys.executable,
            "-c",
            script,
        ],
        capture_output=True,
        env=environment,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode("utf-8")
    assert "a\\x1b[31m\\n\\u202e\ufffd?" in text
    assert not set("\x1b\u202e") & set(text)


@pytest.mark.needs("root")
def test_without_rights_the_missing_capabilities_are_named(
    sigsnoop: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = Path(sigsnoop).read_bytes()
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    done = subprocess.run(
        [*command, sys.executable, "-m", "ebpm", "run", "-"],
        input=data,
        capture_output=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("EBPM_")}
        | {"HOME": "/nonexistent"},
        cwd="/",
        timeout=60,
    )
    err = done.stderr.decode()
    assert done.returncode == 9, err
    assert "error[permission-missing]: loading sigsnoop needs CAP_BPF and CAP_PERFMON" in err
    assert "hint: run it as root" in err


def hidden(folder: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ebpm where a folder is empty."""
    script = f'mount -t tmpfs none {folder} && exec "$@"'
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-m", "ebpm", *words],
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.needs("root")
def test_without_tracefs_the_remedy_is_named(sigsnoop: str) -> None:
    done = hidden("/sys/kernel/tracing", "run", sigsnoop)
    assert done.returncode == 9
    assert "error[tracefs-missing]" in done.stderr
    assert "mount -t tracefs" in done.stderr


@pytest.mark.needs("root")
def test_without_the_kernels_btf_the_reason_is_named(tools: Tools) -> None:
    done = hidden("/sys/kernel/btf", "run", str(tools("execsnoop") / "package.json"))
    assert done.returncode == 9
    assert "error[btf-missing]" in done.stderr
    assert "CONFIG_DEBUG_INFO_BTF" in done.stderr


def test_without_libbpf_the_package_to_install_is_named(
    ebpm: Ebpm, sigsnoop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EBPM_LIBBPF", "/nowhere/libbpf.so")
    done = ebpm.run("run", sigsnoop, check=9)
    assert "error[libbpf-missing]" in done.stderr
    assert "apt install libbpf1" in done.stderr


def test_an_interface_is_given_by_name(ebpm: Ebpm) -> None:
    source = ROOT / "tests/data/net.bpf.c"
    done = ebpm.run("run", "--attach", "dev=nosuch0", source, check=3)
    assert "error[interface-not-found]: there is no network interface 'nosuch0'" in done.stderr


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ("mode=fast", "'fast' is no XDP mode"),
        ("count_xdp=direction=egress", "has the option 'direction'"),
        ("other=xdp,dev=lo", "no program 'other'"),
    ],
)
def test_a_bad_hook_is_named(ebpm: Ebpm, hook: str, said: str) -> None:
    source = ROOT / "tests/data/net.bpf.c"
    assert said in ebpm.run("run", "--attach", hook, source, check=2).stderr


@pytest.mark.needs("netns")
def test_a_program_is_attached_where_the_command_line_says(tmp_path: Path) -> None:
    source = ROOT / "tests/data/net.bpf.c"
    script = (
        "ip link set lo up && ip link add v0 type veth peer name v1 && ip link set v0 up "
        "&& ip link set v1 up && ping -c1 -W1 127.0.0.1 >/dev/null 2>&1; "
        f"{sys.executable} -m ebpm run --json -d 30s -c 4 "
        "--attach count_xdp=xdp,dev=v1,mode=generic "
        f"--attach count_tc=dev=v1,priority=5 {source} & "
        "while kill -0 $! 2>/dev/null; do "
        "python3 -c \"import socket; s=socket.socket(17, 3); s.bind(('v0', 0x800)); "
        's.send(bytes(60))"; done; wait'
    )
    done = subprocess.run(
        ["unshare", "--net", "bash", "-c", script], capture_output=True, text=True, timeout=60
    )
    hooks = {json.loads(line)["hook"] for line in done.stdout.splitlines()}
    assert hooks == {1, 2}, done.stderr


# --- start-up ------------------------------------------------------------------------------------

SPY = """
import sys
before = set(sys.modules)
from ebpm.cli.main import main
try:
    main()
finally:
    new = sorted({name.partition(".")[0] for name in set(sys.modules) - before})
    print(*new, file=sys.stderr)
"""
NATIVE = {"__future__", "_ctypes", "_json", "_sha2", "_sha256", "_struct", "ctypes", "ebpm"} | {
    *("errno", "gc", "mmap", "select", "struct", "types", "_signal")
}

TRIMMING = {"_bisect", "array", "bisect", "itertools"} | {  # array asks for collections
    *("_collections", "_operator", "collections", "keyword", "operator", "reprlib")
}


def test_a_run_from_a_kept_plan_imports_next_to_nothing(ebpm: Ebpm, tools: Tools) -> None:
    home = Path(os.environ["HOME"])
    ebpm.run("push", tools("opensnoop") / "package.json", "oci:layout:1.0", cwd=home)
    ebpm.run("pull", "oci:layout:1.0", cwd=home)
    ebpm.run("run", "-d", "0.1s", "opensnoop:1.0")
    program = [sys.executable, "-I", "-c", SPY, "run", "-d", "0.1s", "opensnoop:1.0"]
    for allowed in (NATIVE, NATIVE | TRIMMING):
        done = subprocess.run(program, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert set(done.stderr.split()) <= allowed
        shutil.rmtree(os.environ["EBPM_CACHE"] + "/types")  # as on a kernel that is new to the tool


# --- sampled maps, timestamps --------------------------------------------------------------------


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A package of which the map ``counts`` alone is sampled."""
    from ebpm.api import Workspace
    from ebpm.cli.build import write_files

    package = Workspace().build(ROOT / "tests" / "data" / "samples.bpf.c").package
    maps = [
        replace(one, sample=one.sample if one.name == "counts" else None) for one in package.maps
    ]
    folder = tmp_path_factory.mktemp("samples")
    write_files(replace(package, maps=tuple(maps)), folder, "json")
    return str(folder / "package.json")


TRIGGER = "import os\nfor n in (1, 2, 2):\n  try: os.getpgid(n)\n  except OSError: pass\n"


def test_a_sampled_map_is_read_a_last_time_at_the_end(ebpm: Ebpm, samples: str) -> None:
    words = ["run", "--interval", "1h", "--json", samples]
    done = ebpm.run(*words, "--", sys.executable, "-c", TRIGGER)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    counts = {one["key"]["number"]: one["value"]["count"] for one in lines}
    assert (counts[1], counts[2]) == (1, 2)


def test_a_sampled_map_is_a_table_of_its_keys_and_values(ebpm: Ebpm, samples: str) -> None:
    done = ebpm.run("run", samples, "--", sys.executable, "-c", TRIGGER)
    header, *rows = done.stdout.splitlines()
    assert header == "TIME     NUMBER  COMM    COUNT   LAST    "
    assert any(re.fullmatch(r"\d\d:\d\d:\d\d  2      \S+ +2       2", row) for row in rows)


def test_count_counts_the_entries(ebpm: Ebpm, samples: str) -> None:
    words = ["run", "--interval", "50ms", "--count", "2", samples]
    done = ebpm.run(*words, "--", sys.executable, "-c", TRIGGER + "os.read(0, 1)", input="")
    assert len(done.stdout.splitlines()) == 3


def test_timestamps_are_dates_and_times(ebpm: Ebpm, sigsnoop: str) -> None:
    with signalling():
        done = ebpm.run("run", "--timestamps", "--json", "-c", 1, sigsnoop, "-p", ME)
    line = json.loads(done.stdout)
    assert set(line) == {"fields", "time"}
    assert line["fields"]["pid"] == int(ME)
    assert re.fullmatch(r"[-\d]{10}T[:\d]{8}\.\d{6}[+-]\d\d:\d\d", line["time"])


def attached(pid: int) -> bool:
    """Whether a process holds a link of BPF."""
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.add(os.readlink(f"/proc/{pid}/fd/{name}"))
        except OSError:
            continue
    return "anon_inode:bpf_link" in found


def test_ctrl_c_ends_with_a_last_reading(ebpm: Ebpm, samples: str) -> None:
    process = ebpm.start("run", "--interval", "1h", "--json", samples, "--target_pid", ME)
    deadline = time.monotonic() + 20
    while not attached(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.1)  # its signals are handled by now
    with pytest.raises(ProcessLookupError):
        os.getpgid(4194000)
    process.send_signal(signal.SIGINT)
    out, err, status = end(process)
    assert (err, status) == ("", 130)
    counts = {one["key"]["number"]: one["value"] for one in map(json.loads, out.splitlines())}
    assert counts[4194000] == {"count": 1, "last": 4194000}


# --- stack traces --------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> str:
    from ebpm.api import Workspace
    from ebpm.cli.build import write_files

    folder = tmp_path_factory.mktemp("stacks")
    write_files(Workspace().build(ROOT / "tests" / "data" / "stacks.bpf.c").package, folder, "json")
    return str(folder / "package.json")


STACKING = "import os\nfor n in (1, 2, 2):\n  try: os.getpgid(n)\n  except OSError: pass\n"


def test_stacks_are_printed_with_names(ebpm: Ebpm, stacks: str) -> None:
    done = ebpm.run("run", stacks, "--", sys.executable, "-c", STACKING)
    head, kernel, first, *_ = done.stdout.splitlines()
    assert re.fullmatch(r"COMM: \S+ \(pid=\d+\) @ CPU \d+", head)
    assert kernel == "Kernel:"
    assert re.fullmatch(r"  0 \[<[0-9a-f]{16}>\] \S+\+0x[0-9a-f]+", first)
    assert done.stdout.endswith("u64 = 2\n\n")


def test_stacks_are_folded_and_drawn_at_the_end(ebpm: Ebpm, stacks: str, work: Path) -> None:
    command = ["--", sys.executable, "-c", STACKING]
    done = ebpm.run("run", "--folded", "--flamegraph", "out.svg", stacks, *command)
    counts = [int(line.rpartition(" ")[2]) for line in done.stdout.splitlines()]
    assert sum(counts) == 3
    assert all("_[k] " in line for line in done.stdout.splitlines())
    assert "3 (100.00 %)" in (work / "out.svg").read_text()


def test_stacks_are_sorted_and_limited_but_not_those_that_are_folded(
    ebpm: Ebpm, stacks: str
) -> None:
    script = (
        "import os\n"
        "def ask(number):\n  try: return os.getpgid(number)\n  except OSError: pass\n"
        "for _ in range(3): ask(2)\n"
        "with open('/proc/self/comm', 'w') as comm: comm.write('other')\n"
        "ask(2)\n"
    )
    command = ["--", sys.executable, "-c", script]
    printed = ebpm.run("run", "--rows", 1, "--interval", "1h", stacks, *command).stdout
    assert re.findall(r"^u64 = (\d+)$", printed, flags=re.MULTILINE) == ["3"]
    folded = ebpm.run("run", "--rows", 1, "--folded", stacks, *command).stdout
    assert sum(int(line.rpartition(" ")[2]) for line in folded.splitlines()) == 4


def test_a_flame_graph_alone_prints_nothing(ebpm: Ebpm, stacks: str, work: Path) -> None:
    done = ebpm.run("run", "--flamegraph", "out.svg", stacks, "--", sys.executable, "-c", STACKING)
    assert done.stdout == ""
    assert (work / "out.svg").read_text().endswith("</svg>\n")


def test_folding_a_tool_without_stacks_is_a_mistake(ebpm: Ebpm, sigsnoop: str, work: Path) -> None:
    (work / "kept.svg").write_text("mine")
    done = ebpm.run("run", "--folded", "--flamegraph", "kept.svg", sigsnoop, check=2)
    assert (work / "kept.svg").read_text() == "mine"
    assert "error[usage]: sigsnoop reports no stack traces" in done.stderr


def test_events_that_nobody_knows_are_shown_in_hex_and_it_is_said_once(
    ebpm: Ebpm, work: Path
) -> None:
    source = (ROOT / "tests" / "data" / "untyped.bpf.c").read_text()
    source = source.replace("const struct event *unused __attribute__((unused));", "")
    (work / "nameless.bpf.c").write_text(source)
    script = "import os\nfor n in (4, 5):\n  try: os.getpgid(n)\n  except OSError: pass\n"
    done = ebpm.run("run", "nameless.bpf.c", "--", sys.executable, "-c", script)
    header, first, second = done.stdout.splitlines()
    assert header == "TIME     SIZE    DATA"
    assert re.fullmatch(r"\d\d:\d\d:\d\d  4       [0-9a-f]{8}", first)
    assert re.fullmatch(r"\d\d:\d\d:\d\d  5       [0-9a-f]{8}05", second)
    assert done.stderr.count("what map events carries is not known") == 1
