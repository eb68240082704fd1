"""`penumbra review`: an address to look at, and afterwards what there is to do."""

import contextlib
import difflib
import errno
import webbrowser
from pathlib import Path

from penumbra.errors import PenumbraError
from penumbra.experiment.load import validate
from penumbra.filter import vetoes

PARAMS = Path("params.yaml")


def review(method: str, port: int, show: bool) -> None:
    """Serve the candidates of a method until somebody ends it; see the options of the command.

    Raises:
        PenumbraError: the method has no bands, or its candidates are not there; the file of vetoes cannot be understood; the port is
            taken.
    """
    judged = validate(PARAMS).filter
    if method not in judged:
        near = difflib.get_close_matches(method, judged, n=1)
        remedy = f"Did you mean {near[0]}?" if near else f"Choose one of: {', '.join(judged) or 'none is there'}."
        raise PenumbraError(f"{PARAMS}: filter.{method} is not there, so candidates of {method} have no severity. {remedy}")
    given = judged[method].veto
    path = Path(given) if given else vetoes.FOLDER / f"{method}.csv"

    from penumbra.review.reviewed import Reviewed
    from penumbra.review.server import Server

    reviewed = Reviewed(method, Path("data"), path)
    candidates, ledger = reviewed.now()
    before, _ = ledger.reasons()  # which also looks at what is to be changed
    try:
        server = Server(reviewed, port)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise PenumbraError(f"review: port {port} cannot be used: {error.strerror}. Name another with --port, or none.") from error
    with server, contextlib.suppress(KeyboardInterrupt):  # which may come at once
        print(
            f"{server.address}\n{len(candidates.frame)} candidates of {method}, {len(before)} vetoed in {path}. Ctrl-C ends this.",
            flush=True,
        )
        if show:
            webbrowser.open(server.address)
        server.serve_forever()
    print(_left(method, path, len(reviewed.now()[1].reasons()[0]), named=bool(given)))


def _left(method: str, path: Path, count: int, named: bool) -> str:
    """What is to be done with the vetoes."""
    if not path.exists():
        return "Nothing is vetoed."
    told = f"{path}: {count} vetoed. Keep it in git: git add {path}"
    if not named:
        told += f"\nLet filter read it:    penumbra configure '+filter.{method}.veto={path}'"
    return f"{told}\nMake the bands again:  penumbra repro"
