"""The command line, which needs the extra "cli"."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``pathrelu`` with the arguments given, or those of the process."""
    try:
        from pathrelu.cli.commands import commands

        commands(args=arguments, prog_name="pathrelu")
    except ModuleNotFoundError as error:
        if error.name not in {"click", "pandas"}:
            raise
        sys.stderr.write(
            f"Error: the command line needs {error.name}; install it with `pip install 'pathrelu[cli]'`\n"
        )
        raise SystemExit(2) from None
    except KeyboardInterrupt:  # while modules are imported
        raise SystemExit(130) from None
