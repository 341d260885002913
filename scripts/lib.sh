# What the scripts share: a virtual environment, and system packages where they are absent.
# Sourced, not run. Everything goes below .cache; nothing is installed that is there already.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${EBPM_SCRIPT_CACHE:-$root/.cache}

say() { printf '== %s\n' "$*"; }
fail() { printf 'error: %s\n' "$1" >&2; [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2; exit 1; }
is_root() { [ "$(id -u)" = 0 ]; }

# need_packages NAME...: install Debian packages that are absent, if this is root.
need_packages() {
    local absent=() name
    for name; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || absent+=("$name")
    done
    [ ${#absent[@]} = 0 ] && return 0
    if ! is_root || ! command -v apt-get >/dev/null; then
        say "absent, and only root can install them: ${absent[*]}"
        return 1
    fi
    say "installing system packages that are absent: ${absent[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y -qq --no-install-recommends "${absent[@]}" >"$cache/apt.log" 2>&1 ||
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${absent[@]}"; } \
            >"$cache/apt.log" 2>&1 || { tail -5 "$cache/apt.log" >&2; return 1; }
}

find_python() {
    local name
    for name in python3 python3.11 python3.12 python3.13 python3.14; do
        "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v "$name"; return; }
    done
    fail "Python 3.11 or later is not installed" "apt install python3"
}

# make_venv DIR: a virtual environment with pip.
make_venv() {
    local python; python=$(find_python)
    [ -x "$1/bin/pip" ] && return
    rm -rf "$1"
    mkdir -p "$(dirname "$1")"
    say "making a virtual environment"
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv "$1"
        return
    fi
    # Debian ships venv without pip: the package is installed by root, unpacked by others.
    if is_root && need_packages python3-venv ca-certificates; then
        "$python" -m venv "$1"
        return
    fi
    say "taking pip out of Debian's python3-pip-whl, unpacked below .cache"
    "$python" "$root/scripts/unpack" "$cache/debs" python3-pip-whl ||
        fail "this Python has no pip, and none could be fetched" "as root: apt install python3-venv"
    "$python" -m venv --without-pip "$1"
    local wheel; wheel=$(echo "$cache"/debs/usr/share/python-wheels/pip-*.whl)
    "$1/bin/python" "$wheel/pip" install --quiet --no-index --find-links "$(dirname "$wheel")" pip
}

# requirements VENV SECTION: what pyproject.toml names, e.g. dependency-groups.dev, one a line.
requirements() {
    "$1/bin/python" -c '
import sys, tomllib
found = tomllib.load(open(sys.argv[1], "rb"))
for key in sys.argv[2].split("."):
    found = found[key]
print(*found, sep="\n")' "$root/pyproject.toml" "$2"
}

# make_bundle VENV: libbpf for a checkout, compiled by scripts/native with the compiler in VENV;
# where that cannot be done (no Debian mirror, another processor) the system's must do.
make_bundle() {
    "$1/bin/python" "$root/scripts/native" && return
    say "without a bundle: the system's libbpf and its headers are used"
    need_packages libbpf1 libbpf-dev || true
}

# make_catalogue VENV: the tools that ebpm brings, compiled into ebpm/index/layout.
make_catalogue() {
    [ -x "$1/bin/ebpm" ] || pip_install "$1" -e "$root[build]"
    "$1/bin/python" "$root/scripts/catalogue"
}

# pip_install DIR ARGUMENT...: into a virtual environment, quietly unless it fails.
pip_install() {
    local venv=$1 note="; this takes a minute: the compiler is 100 MB"; shift
    ! compgen -G "$venv/lib/python*/site-packages/ziglang" >/dev/null || note=
    say "installing $*$note"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$@" 2>"$cache/pip.log" ||
        { tail -20 "$cache/pip.log" >&2; fail "pip could not install $*"; }
}
