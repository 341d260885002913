"""Every error ebpm raises on purpose. Imports nothing.

A subclass of one of the families below fixes three things that scripts may rely on: the ``code``
(stable, kebab-case, listed in docs/errors.md), the exit ``status`` of the command line, and the
``hint`` used where the raiser knows no better next step.
"""

from __future__ import annotations


class EbpmError(Exception):
    """What failed (``message``) and what to do next (``hint``). Only ebpm.cli prints it."""

    code = "ebpm-error"
    status = 1
    hint = "run the command again with --debug, and report what it prints"
    program: str | None = None  # the BPF program that the kernel refused, where it is about one

    def __init__(self, message: str, *, hint: str | None = None, detail: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if hint is not None:
            self.hint = hint
        self.detail = detail  # longer evidence, shown between message and hint (a compiler's words)

    def __str__(self) -> str:
        return self.message


# --- families: one per exit status ---------------------------------------------------------------


class UsageError(EbpmError):
    """The command line cannot be understood."""

    code = "usage"
    status = 2
    hint = "see `ebpm --help`"


class NotFound(EbpmError):
    """What was asked for does not exist."""

    code = "not-found"
    status = 3
    hint = "`ebpm list` shows what the store holds"


class AuthenticationFailed(EbpmError):
    """The registry does not accept who we are, or denies this to us."""

    code = "authentication-failed"
    status = 4
    hint = "log in with `ebpm login REGISTRY`"


class NetworkError(EbpmError):
    """The other side cannot be reached, or gave up."""

    code = "network-error"
    status = 5
    hint = "check the address and the network, then try again"


class IntegrityError(EbpmError):
    """Bytes are not the ones that were asked for."""

    code = "integrity-error"
    status = 6
    hint = "fetch the package again; if it happens again, distrust the source"


class Conflict(EbpmError):
    """Somebody else's state is in the way."""

    code = "conflict"
    status = 8
    hint = "try again when the other process has finished"


class Unsupported(EbpmError):
    """The kernel, a library or the registry lacks a feature or a permission."""

    code = "unsupported"
    status = 9
    hint = "docs/errors.md says what this needs"


# --- input ---------------------------------------------------------------------------------------


class InvalidReference(UsageError):
    """A string that is not ``[registry/]repository[:tag|@digest]``."""

    code = "invalid-reference"
    hint = "write it as NAME[:TAG], or HOST/NAME[:TAG|@sha256:…]"


class InvalidDigest(UsageError):
    """A string that is not ``algorithm:hex`` of a known algorithm."""

    code = "invalid-digest"
    hint = "a digest is sha256: and 64 lower-case hex digits"


class InvalidParameter(UsageError):
    """A tool's option has a value that its variable cannot hold."""

    code = "invalid-parameter"
    hint = "see `ebpm run TARGET --help`"


class InvalidPackage(EbpmError):
    """A package file or its metadata is malformed."""

    code = "invalid-package"
    hint = "build it again with `ebpm build`, or ask its author for a sound copy"


class SchemaTooNew(InvalidPackage):
    """The package's metadata is of a major version that this ebpm does not know."""

    code = "schema-too-new"
    hint = "upgrade ebpm: pip install --upgrade ebpm"


class InvalidObject(InvalidPackage):
    """Bytes that are not a BPF object file (ELF64, machine BPF)."""

    code = "invalid-object"
    hint = "a BPF object is what `ebpm build` or `clang -target bpf -g -c` writes"


class InvalidBtf(InvalidObject):
    """BTF that breaks the format (Documentation/bpf/btf.rst)."""

    code = "invalid-btf"
    hint = "compile the object again with -g; `bpftool btf dump file FILE` shows what is wrong"


class WasmModule(InvalidPackage):
    """A Wasm module with a user-space part of its own, where a package was expected.

    ``embedded`` is the eBPF object in it, where one was found.
    """

    code = "wasm-module"
    hint = (
        "run the module with eunomia-bpf's ecli or wasm-bpf; "
        "`ebpm convert FILE.wasm TOOL.bpf.o` takes the eBPF object out of it, which ebpm runs"
    )
    embedded: bytes | None = None


class InvalidManifest(EbpmError):
    """A manifest, index or layout that breaks the OCI image specification."""

    code = "invalid-manifest"
    hint = "the artifact was not written by ebpm, or is damaged; fetch or build it again"


class InvalidConfig(EbpmError):
    """A configuration file, a setting in the environment or a credentials file is malformed."""

    code = "invalid-config"
    hint = "correct the file, or move it away to use the defaults"


class InvalidLock(EbpmError):
    """An ebpm.lock that is damaged, or that somebody else may have written."""

    code = "invalid-lock"
    hint = "make it again with `ebpm lock`, or remove it"


class LockOutdated(Conflict):
    """ebpm.lock does not have what ebpm.toml wants."""

    code = "lock-outdated"
    hint = "`ebpm lock` brings it up to date; then look at the difference and keep it"


# --- build ---------------------------------------------------------------------------------------


class BuildFailed(EbpmError):
    """The compiler refused the source."""

    code = "build-failed"
    hint = "correct the source where the compiler points"


class InvalidAnnotation(BuildFailed):
    """A doc comment that cannot be understood."""

    code = "invalid-annotation"
    hint = "docs/spec/annotations.md lists the annotations and their values"


class CompilerMissing(Unsupported):
    """No compiler with the bpf target was found."""

    code = "compiler-missing"
    hint = "install one: pip install 'ebpm[build]', or apt install clang"


class HeadersMissing(Unsupported):
    """The BPF-side headers of libbpf, or a vmlinux.h, were not found."""

    code = "headers-missing"
    hint = "scripts/native puts libbpf's into a checkout; or install them: apt install libbpf-dev"


# --- places --------------------------------------------------------------------------------------


class TargetNotFound(NotFound):
    """A TARGET or SOURCE that names no file, package or reference."""

    code = "target-not-found"


class ManifestNotFound(NotFound):
    """The registry or layout has no such tag or manifest."""

    code = "manifest-not-found"
    hint = "check the name and the tag"


class BlobNotFound(NotFound):
    """The registry or layout lacks a blob that a manifest names."""

    code = "blob-not-found"
    hint = "the copy at the source is incomplete; push it again from a whole one"


class PlatformNotFound(NotFound):
    """The package has no object for this machine."""

    code = "platform-not-found"
    hint = "build it for this machine: ebpm build --arch …"


class HookNotFound(NotFound):
    """The kernel or binary has no such hook."""

    code = "hook-not-found"
    hint = "check the spelling; the kernel or the binary may be of another version"


class InterfaceNotFound(NotFound):
    """No network interface of that name or index."""

    code = "interface-not-found"
    hint = "`ip link` lists the interfaces"


# --- registry ------------------------------------------------------------------------------------


class AccessDenied(AuthenticationFailed):
    """The registry knows us, or lets nobody in, and says no."""

    code = "access-denied"
    hint = "check the rights of the account, or log in with `ebpm login REGISTRY`"


class RegistryUnreachable(NetworkError):
    """No connection, or none that lasted."""

    code = "registry-unreachable"
    hint = "check the host and port, the network and the proxy settings, then try again"


class RegistryError(NetworkError):
    """The registry answered with an error that is its own fault, or that we do not know."""

    code = "registry-error"
    hint = "try again later; if it lasts, ask the registry's operator"


class DownloadFailed(NetworkError):
    """A package of a distribution cannot be had."""

    code = "download-failed"
    hint = "see whether this machine's package manager works"


class Offline(NetworkError):
    """Something would have gone over the network, and the user said that nothing may."""

    code = "offline"
    hint = "pull it before, or import a bundle with `ebpm mirror import`; or go without --offline"


class InsecureTransport(NetworkError):
    """Something would have been sent over plain http to another machine."""

    code = "insecure-transport"
    hint = "use https, or allow this host with --plain-http"


class DigestMismatch(IntegrityError):
    """The bytes do not hash to the digest that was asked for."""

    code = "digest-mismatch"


class SizeMismatch(IntegrityError):
    """There are more or fewer bytes than were promised."""

    code = "size-mismatch"


class RegistryRefused(Conflict):
    """The registry refuses a change: immutable tag, quota, or an upload that it lost."""

    code = "registry-refused"
    hint = "push under another tag, or ask the registry's operator"


# --- store ---------------------------------------------------------------------------------------


class StoreLocked(Conflict):
    """Another process holds the lock of the store for too long."""

    code = "store-locked"
    hint = "wait for it, or end that process"


class StoreUnusable(EbpmError):
    """The store's folder cannot be read or written."""

    code = "store-unusable"
    hint = "check its owner, its mode and the free space, or choose another with EBPM_STORE"


class OutputFailed(EbpmError):
    """What a command makes or prints cannot be written."""

    code = "output-failed"
    hint = "check the path, who may write there, and the free space"


class SystemRefused(EbpmError):
    """The system refused something, and no other error says more of it."""

    code = "system-refused"
    hint = "check permissions, limits and free space; --debug shows where it happened"


# --- kernel --------------------------------------------------------------------------------------


class LibbpfMissing(Unsupported):
    """There is no bundled libbpf, and libbpf.so.1 is not installed, or too old."""

    code = "libbpf-missing"
    hint = (
        "install it: apt install libbpf1 (Debian, Ubuntu), dnf install libbpf (Fedora), "
        "pacman -S libbpf (Arch), apk add libbpf (Alpine)"
    )


class PermissionMissing(Unsupported):
    """The process lacks a capability that loading or attaching needs."""

    code = "permission-missing"
    hint = "run it as root: sudo ebpm run …"


class BtfMissing(Unsupported):
    """The kernel offers no BTF, which this package needs."""

    code = "btf-missing"
    hint = "use a kernel built with CONFIG_DEBUG_INFO_BTF=y"


class TracefsMissing(Unsupported):
    """tracefs is not mounted, so the kernel does not tell its tracepoints and probes."""

    code = "tracefs-missing"
    hint = "mount it: sudo mount -t tracefs none /sys/kernel/tracing"


class FeatureMissing(Unsupported):
    """This kernel or libbpf lacks what the program uses."""

    code = "feature-missing"
    hint = "run it on a newer kernel"


class LoadFailed(EbpmError):
    """libbpf or the kernel refused the object."""

    code = "load-failed"
    hint = "run it again with --verbose for libbpf's whole log"


class ProgramRejected(LoadFailed):
    """The kernel's verifier refused a program."""

    code = "program-rejected"
    hint = "run it again with --verbose for the verifier's whole log"


class AttachFailed(EbpmError):
    """A loaded program could not be attached to its hook."""

    code = "attach-failed"
    hint = "run it again with --verbose for libbpf's whole log"


class MapUnreadable(EbpmError):
    """The entries of a map cannot be read."""

    code = "map-unreadable"
    hint = "leave the map's `sample` out of the metadata, or run the tool on another kernel"


class CommandFailed(NotFound):
    """The command after ``--`` could not be started."""

    code = "command-not-started"
    hint = "check its name and that it is executable"


class InvalidToolFile(EbpmError):
    """A tool.yaml cannot be read, or says what its schema does not know."""

    code = "invalid-tool-file"
    hint = "docs/spec/index.md describes tool.yaml"


class InvalidIndex(EbpmError):
    """An index of tools is malformed, or is no index."""

    code = "invalid-index"
    hint = "fetch it again with `ebpm index update`"


class SiteTemplatesMissing(Unsupported):
    """What makes the site's pages is not installed."""

    code = "jinja2-missing"
    hint = "pip install 'ebpm[site]'"


class Interrupted(EbpmError):
    """Ctrl-C, or another signal that asks us to stop."""

    code = "interrupted"
    status = 130
    hint = "nothing is left behind; run the command again to go on"
