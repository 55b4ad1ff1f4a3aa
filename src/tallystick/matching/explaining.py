"""Why a match is one: the rule in a sentence, and the values that it went by."""

from typing import Any, Final

import orjson

from tallystick.matching.records import Match, Rule

__all__ = ["explanation", "values_compared"]

_SENTENCES: Final = {
    Rule.EVIDENCE: "The bank's credit became this deposit when its statement was imported, or was linked to it then.",
    Rule.UETR: "Both bear the same UETR.",
    Rule.OUR_REFERENCE: "The bank's entry bears the id of the instruction.",
    Rule.END_TO_END_ID: "The bank's entry bears the reference that was given with the instruction.",
    Rule.REVERSAL: "The bank took back its own entry: both bear the same reference, and cancel each other.",
    Rule.AMOUNT_AND_COUNTERPARTY: "Amount and counterparty are the same, and the days are near.",
    Rule.AMOUNT_AND_DAY: "The amount is the same, and the days are near.",
    Rule.SUM_AND_COUNTERPARTY: "The parts come to the whole in one way only, with one counterparty and on near days.",
    Rule.SUM_AND_DAY: "The parts come to the whole in one way only, and the days are near.",
    Rule.WITHIN_TOLERANCE: "Counterparty and days fit, and the amounts differ by what the class tolerates.",
    Rule.PERSON: "A person proposed it.",
}


def explanation(of: Match) -> str:
    """Return why these items belong together, as a sentence."""
    sentence = _SENTENCES[Rule(of.rule)]
    parts = len(of.bank_item_ids) + len(of.book_item_ids)
    if of.rule in (Rule.UETR, Rule.OUR_REFERENCE, Rule.END_TO_END_ID) and parts > 2:
        sentence = f"{sentence} Several together come to the same."
    return f"{sentence} The amounts differ." if of.difference_minor else sentence


def values_compared(of: Match) -> dict[str, Any]:
    """Return the values that the rule went by; of evidence they are the two ids themselves."""
    if of.compared is not None:
        values: dict[str, Any] = orjson.loads(of.compared)
        return values
    return {"statement_entry_id": of.bank_item_ids[0], "deposit_id": of.book_item_ids[0]}
