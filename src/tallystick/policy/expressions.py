"""Expressions of the bank's own rules: the Common Expression Language (CEL, cel.dev), and of it only what ends soon.

An expression is a comparison over named facts. It can't loop, call what isn't on a short list, build maps or index,
and is at most a thousand characters long and eight brackets deep, so that its time is bounded by its length. Numbers
are integers of minor units. All of that is checked here before CEL's own parser sees it.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import cel

from tallystick.core.errors import MalformedError

__all__ = [
    "AMOUNT_NAMES",
    "EXPRESSION_LENGTH_MAX",
    "FACTS",
    "Expression",
    "PolicyExpressionInvalidError",
    "PolicyExpressionTooLargeError",
    "PolicyExpressionTypeError",
    "PolicyFactUnknownError",
    "PolicyFunctionNotAllowedError",
    "PolicyNumberNotIntegerError",
    "compile_expression",
]

EXPRESSION_LENGTH_MAX: Final = 1_000
_DEPTH_MAX: Final = 8
_CHOICES_MAX: Final = 8
_SIGNS_MAX: Final = 2
_INTEGER_DIGITS_MAX: Final = 18

_PARTY: Final[Mapping[str, object]] = {
    "account_id": "account_",
    "holder_id": "holder_",
    "holder_kind": "corporate",
    "platform_id": "",
    "country": "DE",
    "residency": "DE",
    "kyc_expires_on": "",
    "screening": "clear",
}
# Every fact that an expression may name, with a sample of its type.
FACTS: Final[Mapping[str, object]] = {
    "kind": "transfer",
    "currency": "USD",
    "purpose": "",
    "principal_id": "principal_",
    "today": "2026-11-22",
    "amount_minor": 1,
    "supply_minor": 1,
    "payer": _PARTY,
    "payee": _PARTY,
    "used": {
        "payer_day_minor": 1,
        "pair_day_minor": 1,
        "holder_day_minor": 1,
        "issuance_day_minor": 1,
    },
}
# Facts that differ from one payment of a pair to the next.
AMOUNT_NAMES: Final = frozenset({"amount_minor", "supply_minor", "used"})
_FUNCTIONS: Final = frozenset({"size"})
_METHODS: Final = frozenset({"startsWith", "endsWith", "contains"})
_WORDS: Final = frozenset({"true", "false", "in"})

# Strings on one line and without escapes: what is a string here is one to CEL's own lexer too.
_TOKEN: Final = re.compile(
    r"""\s+|(?P<string>"[^"\\\r\n]*"|'[^'\\\r\n]*')|(?P<number>[0-9][A-Za-z0-9_.]*)"""
    r"""|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>&&|\|\||[=!<>]=|[-+*/%<>!?:,.()\[\]])""",
    re.ASCII,
)
# What may stand before a list: anything else before a bracket would index.
_BEFORE_LIST: Final = frozenset({"in", "(", ",", "[", "==", "!=", "&&", "||", "?", ":", "+"})
_MELTING: Final = ({"string"}, {"string", "name"})
# What CEL raises for one of its own reasons: no such key, no such overload, overflow, division by zero.
_EVALUATION_ERRORS: Final = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)


class PolicyExpressionInvalidError(MalformedError):
    """An expression is not valid CEL, or none of what is taken of it."""

    code = "policy_expression_invalid"
    title = "The expression is not valid"


class PolicyExpressionTooLargeError(MalformedError):
    """An expression is too long, too deep, or has too many branches."""

    code = "policy_expression_too_large"
    title = "The expression is too large"


class PolicyFunctionNotAllowedError(MalformedError):
    """An expression calls a function or macro that is not on the list, such as one that loops."""

    code = "policy_function_not_allowed"
    title = "The expression calls what it may not"


class PolicyFactUnknownError(MalformedError):
    """An expression names a fact that there is none of."""

    code = "policy_fact_unknown"
    title = "The expression names an unknown fact"


class PolicyNumberNotIntegerError(MalformedError):
    """An expression has a number that is no plain integer; amounts are minor units."""

    code = "policy_number_not_integer"
    title = "A number in the expression is not a plain integer"


class PolicyExpressionTypeError(MalformedError):
    """An expression compares what can't be compared, or is neither true nor false."""

    code = "policy_expression_type"
    title = "The expression is not a condition"


class Expression(NamedTuple):
    """A compiled condition. `names` are the facts it reads, dotted where they belong to a party."""

    program: cel.Program
    names: tuple[str, ...]

    @property
    def reads_amount(self) -> bool:
        """Whether it can differ between two payments of the same parties."""
        return any(name.partition(".")[0] in AMOUNT_NAMES for name in self.names)

    def holds(self, context: dict[str, Any]) -> bool | None:
        """Return whether it holds on these facts; None if it can't be told, which callers must take for a denial."""
        try:
            value = self.program.execute(context)
        except _EVALUATION_ERRORS:
            return None
        return value if isinstance(value, bool) else None


def compile_expression(text: str, pointer: str) -> Expression:
    """Return the compiled form of `text`; `pointer` says in the refusal where it stands.

    Raises PolicyExpressionTooLargeError, PolicyExpressionInvalidError, PolicyFunctionNotAllowedError,
    PolicyFactUnknownError, PolicyNumberNotIntegerError, PolicyExpressionTypeError.
    """
    if len(text) > EXPRESSION_LENGTH_MAX:
        raise PolicyExpressionTooLargeError(
            f"It may have {EXPRESSION_LENGTH_MAX} characters.", pointer=pointer
        )
    tokens = _tokens(text, pointer)
    _check_size(tokens, pointer)
    names = _names(tokens, pointer)
    try:
        program = cel.compile(text)
    except ValueError:
        # The parser's own words repeat what was sent.
        raise PolicyExpressionInvalidError(pointer=pointer) from None
    _try_out(program, pointer)
    return Expression(program, names)


def _tokens(text: str, pointer: str) -> list[tuple[str, str]]:
    """Return (what it is, text) of each token. What CEL's own lexer could take otherwise than this one is refused."""
    found: list[tuple[str, str]] = []
    position, joined = 0, False
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise PolicyExpressionInvalidError(f"It can't be read at {position + 1}.", pointer=pointer)
        what = match.lastgroup
        if what == "number" and not _is_integer(match.group()):
            raise PolicyNumberNotIntegerError(pointer=pointer)
        if what is not None:
            # A letter or a quotation mark beside a string makes another string of it; two slashes, a remark.
            if joined and ({what, found[-1][0]} in _MELTING or found[-1][1] == match.group() == "/"):
                raise PolicyExpressionInvalidError(f"It can't be read at {position + 1}.", pointer=pointer)
            found.append((what, match.group()))
        joined = what is not None
        position = match.end()
    return found


def _is_integer(text: str) -> bool:
    return text.isdecimal() and len(text) <= _INTEGER_DIGITS_MAX


def _check_size(tokens: list[tuple[str, str]], pointer: str) -> None:
    depth = signs = choices = 0
    for _, text in tokens:
        depth += (text in {"(", "["}) - (text in {")", "]"})
        choices += text == "?"
        signs = signs + 1 if text in {"!", "-"} else 0
        if depth > _DEPTH_MAX or choices > _CHOICES_MAX or signs > _SIGNS_MAX:
            raise PolicyExpressionTooLargeError("It nests too deep.", pointer=pointer)


def _names(tokens: list[tuple[str, str]], pointer: str) -> tuple[str, ...]:
    """Return the facts that are named; refuse calls, indexes and names that are not on the lists."""
    texts = ["(", "(", *(text for _, text in tokens), ")", ")"]
    found: dict[str, None] = {}
    for place, (what, text) in enumerate(tokens, start=2):
        before, following = texts[place - 1], texts[place + 1]
        if text == "[" and before not in _BEFORE_LIST:
            raise PolicyExpressionInvalidError("Nothing can be indexed.", pointer=pointer)
        if before == "." and what == "number":
            raise PolicyNumberNotIntegerError(pointer=pointer)
        if what != "name" or (text in _WORDS and before != "."):
            continue
        owner = FACTS.get(texts[place - 2]) if before == "." else None
        if following == "(":
            # A party is nothing by itself: only its members can be asked anything.
            if text not in (_METHODS if before == "." else _FUNCTIONS) or isinstance(owner, Mapping):
                raise PolicyFunctionNotAllowedError(pointer=pointer)
        elif before == ".":
            if not isinstance(owner, Mapping) or text not in owner or texts[place - 3] == ".":
                raise PolicyFactUnknownError(pointer=pointer)
            found[f"{texts[place - 2]}.{text}"] = None
        elif text not in FACTS or (isinstance(FACTS[text], Mapping) and following != "."):
            raise PolicyFactUnknownError(pointer=pointer)
        elif not isinstance(FACTS[text], Mapping):
            found[text] = None
    return tuple(found)


def _try_out(program: cel.Program, pointer: str) -> None:
    # Facts keep their types, so what has a wrong type on samples has it always; overflows depend on values.
    try:
        value = program.execute(dict(FACTS))
    except ArithmeticError:
        return
    except _EVALUATION_ERRORS:
        raise PolicyExpressionTypeError(pointer=pointer) from None
    if not isinstance(value, bool):
        raise PolicyExpressionTypeError(pointer=pointer)
