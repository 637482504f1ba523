"""The errors that kft raises on purpose; messages name the value, the expectation and the way out."""

__all__ = ["RESUMABLE", "InputError", "Interrupted", "KftError", "NonFiniteLossError"]

RESUMABLE = 75  # EX_TEMPFAIL of sysexits.h: the same command will resume


class KftError(Exception):
    """The base class of all errors that kft raises on purpose.

    The command line prints them in a single line and ends with exit code 2; anything else is a bug, which
    keeps its traceback and ends with 1.
    """


class InputError(KftError, ValueError):
    """An input is wrong: an argument, a file, a folder, or the data themselves."""


class NonFiniteLossError(KftError):
    """The loss is NaN or infinite."""


class Interrupted(SystemExit):
    """A signal ended a fit after its state was committed, from which the same call resumes.

    As a `SystemExit` it ends a process with exit code 75, by which a scheduler can restart the job.
    """

    def __init__(self, message: str) -> None:
        super().__init__(RESUMABLE)
        self.message = message

    def __str__(self) -> str:
        return self.message
