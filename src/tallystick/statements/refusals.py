"""Why an inbound statement is refused as a whole: nothing of it is imported.

Details name elements, positions and limits, never the content of the file.
"""

from tallystick.core.errors import DomainError, MalformedError

__all__ = [
    "StatementDoctypeForbiddenError",
    "StatementEncodingUnsupportedError",
    "StatementMalformedError",
    "StatementNamespaceUnknownError",
    "StatementNotXmlError",
    "StatementTooLargeError",
    "StatementTooManyEntriesError",
    "StatementTypeUnsupportedError",
]


class StatementTooLargeError(DomainError):
    """More bytes than the service reads."""

    code = "statement_too_large"
    status = 413
    title = "The statement is larger than the service reads"


class StatementTooManyEntriesError(DomainError):
    """More statements, entries or transaction details than the service reads in one file."""

    code = "statement_too_many_entries"
    status = 413
    title = "The statement has more entries than the service reads"


class StatementDoctypeForbiddenError(MalformedError):
    """A document type declaration: the door of external entities and entity expansion. No bank sends one."""

    code = "statement_doctype_forbidden"
    title = "A statement must not declare a document type"


class StatementNotXmlError(MalformedError):
    """Not a well-formed XML 1.0 document."""

    code = "statement_not_xml"
    title = "The statement is not well-formed XML"


class StatementEncodingUnsupportedError(MalformedError):
    """In a character encoding that the service does not read."""

    code = "statement_encoding_unsupported"
    title = "The statement's character encoding is not supported"


class StatementNamespaceUnknownError(MalformedError):
    """The root is not a `Document` in a namespace of ISO 20022."""

    code = "statement_namespace_unknown"
    title = "The document is not an ISO 20022 message"


class StatementTypeUnsupportedError(MalformedError):
    """An ISO 20022 message, but not a camt.052, camt.053 or camt.054 of a version that the service reads."""

    code = "statement_type_unsupported"
    title = "This ISO 20022 message is not one that the service reads"


class StatementMalformedError(MalformedError):
    """An account, identification, amount, sign, currency or date is missing or can't be read for certain."""

    code = "statement_malformed"
    title = "The statement can't be read for certain"
