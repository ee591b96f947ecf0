"""The options that every command has, before its name or after it."""

from __future__ import annotations

from typing import Any

import click

from statestore.cli.settings import Settings


def current_settings(ctx: click.Context) -> Settings:
    """Return what was said of store and output, at any place of the command line."""
    return ctx.find_root().ensure_object(Settings)


def _remember(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is None or value is False:
        return
    if parameter.name == "store" and not value:
        raise click.BadParameter("the path of the store is empty", ctx, parameter)
    setattr(current_settings(ctx), str(parameter.name), value)


def _common_options(*, is_root: bool) -> list[click.Parameter]:
    """Return the options anew. The environment counts at the root: a word typed comes after it."""
    return [
        click.Option(
            ["--store"],
            metavar="PATH",
            type=click.Path(),
            envvar="STATESTORE_PATH" if is_root else None,
            help="The store; by default $STATESTORE_PATH, then ./state.",
            hidden=not is_root,
            expose_value=False,
            callback=_remember,
        ),
        click.Option(
            ["--config"],
            metavar="FILE",
            type=click.Path(),
            help="Read this file instead of the store's statestore.toml.",
            hidden=not is_root,
            expose_value=False,
            callback=_remember,
        ),
        click.Option(
            ["--json"],
            is_flag=True,
            help="Write one JSON value to stdout.",
            expose_value=False,
            callback=_remember,
        ),
        click.Option(
            ["-v", "--verbose"],
            is_flag=True,
            help="Tell more; with an error, where it arose.",
            hidden=not is_root,
            expose_value=False,
            callback=_remember,
        ),
    ]


class StoreCommand(click.Command):
    """A command that takes the common options after its name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _common_options(is_root=False)


class StoreGroup(click.Group):
    """A group of commands that take the common options; the root itself, or one below it."""

    command_class = StoreCommand

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        is_root = kwargs.get("invoke_without_command", False)
        self.params = _common_options(is_root=is_root) + self.params

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which a newcomer meets them."""
        del ctx
        return list(self.commands)


pass_settings = click.make_pass_decorator(Settings, ensure=True)
