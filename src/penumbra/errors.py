"""The one exception whose message is meant for the user."""


class PenumbraError(Exception):
    """Bad input or a broken environment. The message names the file or key and the remedy; the CLI prints it on one line."""
