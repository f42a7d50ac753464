"""`howdah completion`: the script that lets a shell complete commands and options."""

from __future__ import annotations

import click

from howdah.cli import options

_VARIABLE = "_HOWDAH_COMPLETE"


@click.command(
    "completion",
    epilog=options.example(
        'eval "$(howdah completion bash)"       # in ~/.bashrc',
        'eval "$(howdah completion zsh)"        # in ~/.zshrc',
        "howdah completion fish > ~/.config/fish/completions/howdah.fish",
    ),
)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes howdah's commands and options in a shell."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  click knows the three
    click.echo(kind(ctx.find_root().command, {}, "howdah", _VARIABLE).source())
