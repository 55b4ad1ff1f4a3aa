"""What people may not do with a break."""

from tallystick.core.errors import ConflictError, DeniedError, DomainError, MalformedError, NotFoundError

__all__ = [
    "BreakBundledError",
    "BreakChangedError",
    "BreakEndedError",
    "BreakEvidenceFullError",
    "BreakEvidenceNotFoundError",
    "BreakEvidenceTooLargeError",
    "BreakNotFoundError",
    "BreakOwnerUnfitError",
    "BreakWorkNotAllowedError",
    "CorrectionUnfitError",
]


class BreakNotFoundError(NotFoundError):
    """No such break of this issuer."""

    code = "break_not_found"
    title = "No such break"


class BreakEvidenceNotFoundError(NotFoundError):
    """No such file was put to this break."""

    code = "break_evidence_not_found"
    title = "No such evidence"


class BreakWorkNotAllowedError(DeniedError):
    """Only the issuer's own people work on breaks."""

    code = "break_work_not_allowed"
    title = "Not allowed to work on breaks"


class BreakEndedError(ConflictError):
    """The break is resolved, written off or cleared; it is open again if a run finds it again."""

    code = "break_ended"
    title = "The break has ended"


class BreakOwnerUnfitError(MalformedError):
    """A break's owner is an active member of the issuer's staff who may work on it."""

    code = "break_owner_unfit"
    title = "This principal can't own a break"


class CorrectionUnfitError(ConflictError):
    """A break is resolved by an instruction that settled after it was found, in its token class."""

    code = "correction_unfit"
    title = "The instruction does not correct this break"


class BreakChangedError(ConflictError):
    """The break's difference is another one than was typed, or than was asked to be written off."""

    code = "break_changed"
    title = "The difference is another one by now"


class BreakBundledError(ConflictError):
    """A break that stands for many is not written off as one: each has a cause of its own to make up for."""

    code = "break_bundled"
    title = "The break stands for many"


class BreakEvidenceTooLargeError(DomainError):
    """A file is larger than evidence may be, or empty."""

    code = "break_evidence_too_large"
    status = 413
    title = "The file is too large, or empty"


class BreakEvidenceFullError(ConflictError):
    """A break has as many files as it may have."""

    code = "break_evidence_full"
    title = "The break has as many files as it may have"
