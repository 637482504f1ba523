"""The errors that kft raises on purpose; each message names the value, what was expected and the way out."""

__all__ = ["RESUMABLE", "InputError", "Interrupted", "KftError", "NonFiniteLossError"]

RESUMABLE = 75  # sysexits.h: a temporary failure, the same command will go on


class KftError(Exception):
    """Base class of every error that kft raises on purpose.

    The command line prints one as a single line and ends with exit code 2; anything else is a defect and keeps its
    traceback.
    """


class InputError(KftError, ValueError):
    """Something a person passed is wrong: an argument, a file, a folder, the data themselves."""


class NonFiniteLossError(KftError):
    """The loss is NaN or infinite."""


class Interrupted(SystemExit):
    """A signal ended a fit after its state was committed; the same call resumes from there.

    As a `SystemExit` it ends a process with exit code 75, which tells a scheduler to start the job again.
    """

    def __init__(self, message: str) -> None:
        super().__init__(RESUMABLE)
        self.message = message

    def __str__(self) -> str:
        return self.message
