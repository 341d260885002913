"""The workspace of a command: the user's settings, and where its notes go."""

from __future__ import annotations

from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem

from ebpm.api import Workspace
from ebpm.cli.report import warn, write
from ebpm.config import Config
from ebpm.oci.content import Progress


def open_workspace(
    plain_http: Iterable[str] = (), *, progress: Progress | None = None
) -> Workspace:
    """Open a workspace.

    Args:
        plain_http: hosts that the user allowed to be spoken to without TLS.
        progress: told of copies.
    """
    config = Config()
    config.plain_http += plain_http
    context = click.get_current_context(silent=True)
    debug = context is not None and bool(context.find_root().obj)
    return Workspace(config, progress=progress, log=write if debug else None, warn=warn)


def complete_name(
    _context: click.Context, _parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Complete a word by the names in the store."""
    names = {
        one.ref_name for store in Workspace().stores() for one in store.entries() if one.ref_name
    }
    return [CompletionItem(name) for name in sorted(names) if name.startswith(begun)]
