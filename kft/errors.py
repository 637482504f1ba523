"""The errors that kft raises on purpose; each message names the value, what was expected and the way out."""

__all__ = ["InputError", "KftError"]


class KftError(Exception):
    """Base class of every error that kft raises on purpose.

    The command line prints one as a single line and ends with exit code 2; anything else is a defect and keeps its
    traceback.
    """


class InputError(KftError, ValueError):
    """Something a person passed is wrong: an argument, a file, a folder, the data themselves."""
