"""An attestation as one A4 page (PDF) that can be filed: the figures, the verdict, and how to check the signature.

The same attestation gives the same bytes: nothing on the page comes from the clock or from chance.
"""

import hashlib
import io
from collections.abc import Iterable, Sequence
from typing import Any, Final

from reportlab.lib.colors import HexColor  # type: ignore[import-untyped]
from reportlab.lib.pagesizes import A4  # type: ignore[import-untyped]
from reportlab.lib.units import mm  # type: ignore[import-untyped]
from reportlab.pdfbase.pdfmetrics import stringWidth  # type: ignore[import-untyped]
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]

from tallystick.attestations.page_text import runs_of
from tallystick.attestations.records import SignedAttestation
from tallystick.core.clock import format_time
from tallystick.core.money import format_amount
from tallystick.participants import Issuer, TokenClass

__all__ = ["attestation_page"]

_WIDTH, _HEIGHT = A4
_LEFT: Final = 22 * mm
_RIGHT: Final = _WIDTH - 22 * mm
_INK: Final = HexColor("#1b2430")
_GREY: Final = HexColor("#66707d")
_RULE: Final = HexColor("#c9d0d8")
_TIED: Final = HexColor("#1f6f43")
_BROKEN: Final = HexColor("#a8322a")
_PLAIN: Final = "Helvetica"
_BOLD: Final = "Helvetica-Bold"
_FIXED: Final = "Courier"
_WORDS: Final = {
    "missing_event": "Missing event",
    "missing_bank_entry": "Missing bank entry",
    "unexpected_bank_entry": "Unexpected bank entry",
    "amount": "Amount",
    "duplicate": "Duplicate",
    "timing": "Timing (explained)",
}
_VERDICTS: Final = {
    "tied": ("TIED", _TIED, "Every difference is explained."),
    "broken": ("BROKEN", _BROKEN, "There are differences that nothing explains yet."),
}
_BREAKS_SHOWN_MAX: Final = 8
#: So many characters of the fixed font fit between what they are and the margin.
_FIXED_LENGTH_MAX: Final = 80


def attestation_page(
    signed: SignedAttestation, issuer: Issuer, of_class: TokenClass, public_path: str
) -> bytes:
    """Return the page; `public_path` is where the signed object itself can be fetched by anybody."""
    said = signed.payload["attestation"]
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=A4, invariant=1, pageCompression=1)
    canvas.setTitle(f"Attestation {signed.attestation.reconciliation_id}")
    canvas.setAuthor(issuer.legal_name)
    canvas.setSubject("Token supply against deposits")
    page = _Page(canvas)
    _head(page, signed, issuer, of_class)
    _verdict(page, signed, said, of_class.currency)
    _figures(page, said, of_class.currency)
    _breaks(page, said, of_class)
    _signature(page, signed, public_path)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


class _Page:
    """A canvas and how far down it is written."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.y = _HEIGHT - 24 * mm

    def text(
        self,
        x: float,
        words: str,
        *,
        size: float = 9.5,
        font: str = _PLAIN,
        color: Any = _INK,
        right: bool = False,
    ) -> None:
        """Write at the present height, from `x` on or up to it."""
        self.canvas.setFillColor(color)
        runs = runs_of(words, font)
        widths = [stringWidth(run.text, run.font, size) for run in runs]
        x -= sum(widths) if right else 0.0
        for run, width in zip(runs, widths, strict=True):
            self.canvas.setFont(run.font, size)
            self.canvas.drawString(x, self.y, run.text)
            x += width

    def down(self, points: float) -> None:
        self.y -= points

    def rule(self, width: float = 0.5) -> None:
        self.canvas.setStrokeColor(_RULE)
        self.canvas.setLineWidth(width)
        self.canvas.line(_LEFT, self.y, _RIGHT, self.y)

    def section(self, title: str) -> None:
        self.down(22)
        self.text(_LEFT, title.upper(), size=8, font=_BOLD, color=_GREY)
        self.down(6)
        self.rule()

    def row(self, words: str, figure: str, *, note: str = "", bold: bool = False) -> None:
        """Write a line of a table: what, a remark, and its figure at the right."""
        font = _BOLD if bold else _PLAIN
        self.down(15)
        self.text(_LEFT, words, font=font)
        if note:
            self.text(_LEFT + 92 * mm, note, size=8, color=_GREY)
        self.text(_RIGHT, figure, font=font, right=True)

    def lines(self, words: Iterable[str], *, size: float = 8, font: str = _PLAIN, color: Any = _GREY) -> None:
        for one in words:
            self.down(size * 1.45)
            self.text(_LEFT, one, size=size, font=font, color=color)


def _head(page: _Page, signed: SignedAttestation, issuer: Issuer, of_class: TokenClass) -> None:
    page.text(_LEFT, "Attestation of token supply against deposits", size=17, font=_BOLD)
    page.down(20)
    page.text(_LEFT, issuer.legal_name, size=11, font=_BOLD)
    page.text(_RIGHT, f"{of_class.currency} token class", size=11, font=_BOLD, right=True)
    page.down(14)
    page.text(_LEFT, f"LEI {issuer.lei}   BIC {issuer.bic}   {issuer.jurisdiction}", size=8.5, color=_GREY)
    page.text(_RIGHT, of_class.name, size=8.5, color=_GREY, right=True)
    page.down(10)
    page.rule(1.2)
    found = signed.attestation
    bank = "no statement" if found.bank_as_of is None else f"close of {found.bank_as_of.isoformat()}"
    columns = (
        ("LEDGER AS OF", _moment(format_time(found.ledger_as_of)), f"log index {found.ledger_index}"),
        ("BANK AS OF", bank, ""),
        ("ATTESTED", _moment(format_time(found.attested_at)), f"event {found.event_index}"),
    )
    page.down(18)
    top = page.y
    for number, (title, when, remark) in enumerate(columns):
        page.y = top
        x = _LEFT + number * 58 * mm
        page.text(x, title, size=7.5, font=_BOLD, color=_GREY)
        page.down(14)
        page.text(x, when, size=10)
        page.down(12)
        page.text(x, remark, size=8, color=_GREY)


def _verdict(page: _Page, signed: SignedAttestation, said: dict[str, Any], currency: str) -> None:
    word, color, sentence = _VERDICTS[signed.attestation.verdict]
    page.down(16)
    height = 52.0
    canvas = page.canvas
    canvas.setStrokeColor(color)
    canvas.setFillColor(HexColor("#f6f8f9"))
    canvas.setLineWidth(1)
    canvas.roundRect(_LEFT, page.y - height, _RIGHT - _LEFT, height, 3, stroke=1, fill=1)
    canvas.setFillColor(color)
    canvas.rect(_LEFT, page.y - height, 4, height, stroke=0, fill=1)
    top = page.y
    page.y = top - 24
    page.text(_LEFT + 12, word, size=18, font=_BOLD, color=color)
    page.down(15)
    page.text(_LEFT + 12, sentence, size=8.5, color=_GREY)
    for place, (title, amount) in enumerate(
        (("Supply", said["supply"]), ("Bank's balance", said["bank_balance"]))
    ):
        x = _RIGHT - 10 - (1 - place) * 52 * mm
        page.y = top - 16
        page.text(x, title, size=8, color=_GREY, right=True)
        page.down(18)
        words = "no statement" if amount is None else f"{currency} {_grouped(amount)}"
        page.text(x, words, size=12, font=_BOLD, right=True)
    page.y = top - height


def _figures(page: _Page, said: dict[str, Any], currency: str) -> None:
    # What was signed before there were roots over all liabilities has one record less.
    root = said.get("liability_root")
    page.section(f"Supply in {'four' if root is None else 'five'} records ({currency})")
    page.row("Signed events", _grouped(said["supply"]), note="mints less redemptions, seizures, payouts")
    page.row("Holders' balances", _grouped(said["holder_balances"]), note="as kept, account by account")
    page.row("The books", _grouped(said["trial_balance"]), note="2110 to 2140 in the trial balance")
    page.row(
        "Liability register", _grouped(said["liability_register"]), note="what is owed, holder by holder"
    )
    if root is not None:
        page.row("Root over all liabilities", _grouped(root), note="the sum of a tree's leaves")
    page.section(f"Deposits behind it ({currency})")
    page.row("Supply", _grouped(said["supply"]), note="as above")
    page.row(
        "Deposits not tokenised", _grouped(said["deposits_available"]), note="2010: confirmed, not minted"
    )
    page.row("Payments in transit", _grouped(said["payments_in_transit"]), note="2310")
    page.row("Control account", _grouped(said["control_account"]), note="1100 in the books", bold=True)
    page.row(
        "Bank's closing balance", _grouped(said["bank_balance"]), note="of the backing account", bold=True
    )
    page.row("Of the difference: timing", _grouped(said["timing"]), note="one side has it first")


def _breaks(page: _Page, said: dict[str, Any], of_class: TokenClass) -> None:
    page.section("Breaks by type")
    breaks = said["breaks"]
    if not breaks:
        page.row("None", "")
        return
    for name, found in list(breaks.items())[:_BREAKS_SHOWN_MAX]:
        count = f"{found['count']} item" + ("" if found["count"] == 1 else "s")
        page.row(_WORDS.get(name, name), _grouped(found["difference"]), note=count)
    total_minor = sum(int(str(found["difference"]).replace(".", "")) for found in breaks.values())
    page.row("Sum of differences", _grouped(format_amount(total_minor, of_class.scale)), bold=True)


def _signature(page: _Page, signed: SignedAttestation, public_path: str) -> None:
    page.section("Signature")
    digest = hashlib.sha256(signed.jws.encode()).hexdigest()
    rows: Sequence[tuple[str, str]] = (
        ("Reconciliation", signed.attestation.reconciliation_id),
        ("Event", f"{signed.event_id}, index {signed.attestation.event_index}"),
        ("Key", signed.key_id),
        ("SHA-256 of the JWS", digest),
        ("Fetch it at", public_path),
    )
    page.down(2)
    for name, value in rows:
        for start in range(0, len(value), _FIXED_LENGTH_MAX):
            page.down(12 if start == 0 else 10)
            page.text(_LEFT, name if start == 0 else "", size=8, color=_GREY)
            page.text(_LEFT + 34 * mm, value[start : start + _FIXED_LENGTH_MAX], size=7.6, font=_FIXED)
    page.down(6)
    page.lines(
        (
            "This page is a rendering. What is signed is the compact JWS (RFC 7515, EdDSA) at the address above;",
            "the keys are published under /.well-known/jwks.json, and that the event is in the bank's log can be",
            "proven to whoever holds a checkpoint of it.",
            "It attests what the bank owes and what its statement showed; it is no audit opinion, and names no holder.",
        ),
        size=7.2,
    )


def _moment(text: str) -> str:
    return f"{text[:10]}  {text[11:19]} UTC"


def _grouped(amount: str | None) -> str:
    """Return an amount with its thousands apart, as people read it."""
    if amount is None:
        return "none"
    whole, point, decimals = amount.partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    return f"{sign}{int(digits):,}{point}{decimals}"
