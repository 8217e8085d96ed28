"""The errors that reprolock raises on purpose.

ReprolockError          anything below; exit code 2
├── UsageError          what was asked for makes no sense
├── NotebookError       the file is no notebook that can be run
├── LockError           the lock is missing, damaged or of another format
│   └── BundleError         the same of a bundle
│       └── UnsafeBundleError   it would do harm to unpack it
├── ExportError         an export cannot be made; exit code 1
├── KernelError         the kernel cannot be started
└── RebuildError        the environment cannot be made as locked; exit code 1
    └── InterpreterMissingError
"""

from __future__ import annotations


class ReprolockError(Exception):
    """A failure that a person can act on.

    Printed as ``error: MESSAGE``, then one ``  Caused by: ...`` line per entry of
    *causes*, then ``hint: HINT``.
    """

    exit_code = 2

    def __init__(
        self, message: str, *, causes: tuple[str, ...] = (), hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.causes = causes
        self.hint = hint


class UsageError(ReprolockError):
    pass


class NotebookError(ReprolockError):
    pass


class LockError(ReprolockError):
    def __init__(
        self,
        message: str,
        *,
        causes: tuple[str, ...] = (),
        hint: str | None = "take the original, or capture the notebook again",
    ) -> None:
        super().__init__(message, causes=causes, hint=hint)


class BundleError(LockError):
    def __init__(
        self,
        message: str,
        *,
        causes: tuple[str, ...] = (),
        hint: str | None = "fetch the bundle again, or ask for it from where it came",
    ) -> None:
        super().__init__(message, causes=causes, hint=hint)


class UnsafeBundleError(BundleError):
    pass


class ExportError(ReprolockError):
    exit_code = 1


class KernelError(ReprolockError):
    pass


class RebuildError(ReprolockError):
    exit_code = 1


class InterpreterMissingError(RebuildError):
    pass
