"""The error for clips that cannot be used."""


class BadClipError(Exception):
    """A clip cannot be used; the message is the reason, without the clip's name."""
