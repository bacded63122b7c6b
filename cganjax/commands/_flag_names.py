"""What `cganjax.train` says of its parameters, in the words of a command: "--devices is 3", "choose --out"."""

import contextlib
import re
import warnings
from collections.abc import Iterator

from cganjax import cli
from cganjax.types import BitsWarning

_PARAMETER = re.compile(
    r"^(stop_after|block|devices)(?= is )|\b(init_from|extend_to)\b(?!=)"
    r"|\b(out|dataset|data_dir|devices|block|overwrite|extend_to)=(True)?"
)


@contextlib.contextmanager
def said(parser: cli.Parser) -> Iterator[None]:
    """Within it, errors and warnings name the command's flags instead of the function's parameters.

    A warning of changed conditions is given each time.
    """
    before = warnings.showwarning

    def show(message, *where, **more):
        before(_for_shell(str(message), parser), *where, **more)

    with warnings.catch_warnings():
        warnings.simplefilter("always", BitsWarning)
        warnings.showwarning = show
        try:
            yield
        except cli.UserError as error:
            raise cli.UserError(_for_shell(str(error), parser)) from None
        except cli.CheckpointError as error:
            raise cli.CheckpointError(_for_shell(str(error), parser)) from None


def _for_shell(text: str, parser: cli.Parser) -> str:
    flags = {option for action in parser._actions for option in action.option_strings}

    def flag(found: re.Match) -> str:
        name = "--" + (found[1] or found[2] or found[3]).replace("_", "-")
        if name not in flags:
            return found[0]
        followed = text[found.end() : found.end() + 1].isalnum()
        return f"{name} " if followed else name

    return _PARAMETER.sub(flag, text)
