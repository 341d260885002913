"""All commands as click knows them, and what becomes of their errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from ebpm import __version__
from ebpm.cli.options import RUN_OPTIONS, Option
from ebpm.cli.report import interrupted, refused, report
from ebpm.errors import EbpmError

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
COMMANDS = {  # name: where it is below ebpm.cli, and the first line of its help
    "attach": ("artifact:attach", "Attach files to an artifact, where it lies."),
    "blob": ("artifact:blob", "Read blobs as they are."),
    "btf": ("btf:btf", "Keep the types of other kernels, to check packages against."),
    "build": ("build:build", "Compile a .bpf.c file to a package."),
    "cache": ("cache:cache", "Measure, check and clean the store."),
    "check": ("check:check", "Tell whether a package fits a kernel."),
    "copy": ("artifact:copy", "Copy an artifact from one place to another, whatever it is."),
    "discover": ("artifact:discover", "Show what refers to an artifact, and what refers to that."),
    "convert": ("convert:convert", "Write a package in another form."),
    "doctor": ("doctor:doctor", "Tell what this machine lacks, and what to do about it."),
    "index": ("index:index", "Build, publish and fetch indexes of tools."),
    "info": ("search:info", "Say what a tool does, before it runs."),
    "init": ("init:init", "Make a folder to begin a tool with."),
    "inspect": ("store:inspect", "Show what a package is and does."),
    "list": ("store:list_packages", "List the packages in the store."),
    "lock": ("project:lock", "Pin the tools of ebpm.toml to digests, in ebpm.lock."),
    "login": ("login:login", "Log in to a registry."),
    "logout": ("login:logout", "Forget the login of a registry."),
    "manifest": ("artifact:manifest", "Read manifests as they are."),
    "mirror": (
        "mirror:mirror",
        "Carry packages to where the network does not reach, and keep copies of registries.",
    ),
    "outdated": (
        "project:outdated",
        "List the tools of ebpm.lock for which there is something newer.",
    ),
    "pull": ("transfer:pull", "Fetch a package into the store."),
    "push": ("transfer:push", "Send a package to a registry."),
    "remove": ("store:remove", "Remove packages from the store."),
    "resolve": ("artifact:resolve", "Tell the digest that a name means where it lies."),
    "search": ("search:search", "Find tools in the indexes."),
    "sync": (
        "project:sync",
        "Put the tools of ebpm.lock into the store, after bringing it up to date.",
    ),
    "tag": ("store:tag", "Give a package in the store a second name."),
    "tags": ("artifact:tags", "List the tags of a repository in a registry."),
    "upgrade": (
        "project:upgrade",
        "Pin tools of ebpm.toml to the newest versions that it allows: these, or all.",
    ),
}


class LazyGroup(click.Group):
    """A group that imports a command when it is called: all take a quarter of a second."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """Name all commands."""
        return sorted([*self.commands, *COMMANDS])

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import a command."""
        if name not in COMMANDS:
            return super().get_command(context, name)
        module, _, attribute = COMMANDS[name][0].partition(":")
        command: click.Command = getattr(import_module(f"ebpm.cli.{module}"), attribute)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands out of the table."""
        names = self.list_commands(context)
        room = formatter.width - 6 - max(map(len, names))
        known = {name: click.Command(name, help=text) for name, (_, text) in COMMANDS.items()}
        commands = {**self.commands, **known}
        with formatter.section("Commands"):
            formatter.write_dl([(name, commands[name].get_short_help_str(room)) for name in names])


@click.group(cls=LazyGroup, context_settings=CONTEXT)
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
    return click.option(
        *one.names,
        one.key,
        metavar=one.metavar,
        multiple=one.many,
        help=one.help,
        shell_complete=_complete_path,  # behind TARGET click takes the tool's -c for this one
    )


def _complete_target(
    context: click.Context, parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    from ebpm.cli.workspace import complete_name

    return [*complete_name(context, parameter, begun), CompletionItem(begun, type="file")]


def _complete_path(_context: object, _parameter: object, begun: str) -> list[CompletionItem]:
    """Complete the value of a tool's option, or a word of a command: what can be known is paths."""
    return [CompletionItem(begun, type="file")]


@app.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    options_metavar="[OPTIONS]",
)
@_with_run_options
@click.argument("target", metavar="TARGET", shell_complete=_complete_target)
@click.argument(
    "arguments",
    nargs=-1,
    type=click.UNPROCESSED,
    metavar="[TOOL OPTIONS] [-- COMMAND]",
    shell_complete=_complete_path,
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
    except OSError as error:
        if debug:
            raise
        return refused(error)
    return 0
