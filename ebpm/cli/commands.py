"""All commands as click knows them, and what becomes of their errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import click

from ebpm import __version__
from ebpm.cli.artifact import attach, blob, copy, discover, manifest, resolve, tags
from ebpm.cli.build import build
from ebpm.cli.cache import cache
from ebpm.cli.doctor import doctor
from ebpm.cli.index import index
from ebpm.cli.init import init
from ebpm.cli.login import login, logout
from ebpm.cli.mirror import mirror
from ebpm.cli.options import RUN_OPTIONS, Option
from ebpm.cli.report import interrupted, report
from ebpm.cli.search import info, search
from ebpm.cli.store import inspect, list_packages, remove, tag
from ebpm.cli.transfer import pull, push
from ebpm.errors import EbpmError

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, message="ebpm %(version)s")
@click.option("--debug", is_flag=True, help="Show HTTP requests, and Python's traceback of errors.")
@click.option("--offline", is_flag=True, help="Use no network: what is not here is an error.")
@click.pass_context
def app(context: click.Context, debug: bool, offline: bool) -> None:
    """Build, publish and run eBPF tools.

    A TARGET is a path (package.json, NAME.skel.json, NAME.bpf.o, NAME.bpf.c or its folder), - for
    standard input, an http(s) URL, oci:DIR[:TAG], HOST/NAME[:TAG|@DIGEST], or NAME[:TAG|@DIGEST]
    out of the store and the configured indexes.
    """
    context.obj = debug
    if offline:
        os.environ["EBPM_OFFLINE"] = "1"


def _with_run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Declare the options of `run` from the table that its own parser reads."""
    for one in reversed(RUN_OPTIONS):
        command = _click_option(one)(command)
    return command


def _click_option(one: Option) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    if one.read is None:
        return click.option(*one.names, one.key, is_flag=True, help=one.help)
    return click.option(*one.names, one.key, metavar=one.metavar, multiple=one.many, help=one.help)


@app.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    options_metavar="[OPTIONS]",
)
@_with_run_options
@click.argument("target", metavar="TARGET")
@click.argument(
    "arguments", nargs=-1, type=click.UNPROCESSED, metavar="[TOOL OPTIONS] [-- COMMAND]"
)
def run(**_: Any) -> None:  # noqa: ANN401
    """Run a tool until Ctrl-C.

    Options of ebpm stand before TARGET, those of the tool after it; `ebpm run TARGET --help` lists
    them. A command after -- is started when the tool is attached, and only it is traced.
    """
    raise AssertionError("ebpm.cli.main sends run elsewhere")


@app.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    To have it in every bash: eval "$(ebpm completion bash)" in ~/.bashrc.
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(app, {}, "ebpm", "_EBPM_COMPLETE").source())


for command in (
    *(build, push, pull, tag, list_packages, inspect, remove, login, logout),
    *(doctor, cache, mirror),
    *(copy, attach, discover, resolve, tags, manifest, blob),
    *(doctor, search, info, index, init),
):
    app.add_command(command)


def main(arguments: list[str]) -> int:
    """Run a command; give the exit status."""
    debug = "--debug" in arguments
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # hostile names, LANG=C
    try:
        status: object = app.main(args=arguments, prog_name="ebpm", standalone_mode=False)
        if isinstance(status, int):
            return status  # what context.exit() was given
    except EbpmError as error:
        if debug:
            raise
        return report(error)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except (click.Abort, KeyboardInterrupt):
        return interrupted()
    except BrokenPipeError:
        return 0  # nobody reads any more
    return 0
