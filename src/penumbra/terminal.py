"""Manners of a program whose output is read by another one."""

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

BY_SIGPIPE = 128 + 13  # the exit status of what a closed pipe ends


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """End without a word where the reader of standard output has seen enough, as `head` has after ten lines.

    The signal SIGPIPE stays ignored, as Python has it: it would also end a run in which some other pipe or socket breaks.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # here, where its failure can be caught, and not when the interpreter ends
    except BrokenPipeError:
        if not _closed(sys.stdout.fileno()):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still buffered
        sys.exit(BY_SIGPIPE)


def _closed(descriptor: int) -> bool:
    """Whether nobody reads the pipe any more."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return any(event & select.POLLERR for _, event in poll.poll(0))
