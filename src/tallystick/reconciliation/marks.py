"""Which of the bank's entries are spoken for. Pure."""

__all__ = ["Marks"]


class Marks:
    """Which entries bear a deposit out, one bit each, so that a million of them take little room."""

    def __init__(self) -> None:
        self.by_statement: dict[str, bytearray] = {}

    def set(self, statement_id: str, entry_number: int) -> None:
        """Mark an entry."""
        bits = self.by_statement.setdefault(statement_id, bytearray())
        place = entry_number >> 3
        if place >= len(bits):
            bits.extend(bytes(max(place + 1 - len(bits), len(bits))))
        bits[place] |= 1 << (entry_number & 7)

    def has(self, statement_id: str, entry_number: int) -> bool:
        """Tell whether an entry is marked."""
        bits = self.by_statement.get(statement_id)
        place = entry_number >> 3
        return bits is not None and place < len(bits) and bool(bits[place] >> (entry_number & 7) & 1)

    def missing(self, statement_id: str, entry_count: int) -> list[tuple[int, int]]:
        """Return the runs of entries without a mark, from 1 to `entry_count`, as (first, last)."""
        runs: list[tuple[int, int]] = []
        number, bits = 1, self.by_statement.get(statement_id, bytearray())
        while number <= entry_count:
            place = number >> 3
            if number & 7 == 0 and place < len(bits) and bits[place] == 0xFF:
                number += 8
                continue
            if self.has(statement_id, number):
                number += 1
                continue
            first = number
            while number <= entry_count and not self.has(statement_id, number):
                number += 1
            runs.append((first, number - 1))
        return runs

    def take(self, other: "Marks") -> None:
        """Take over another part's marks."""
        for statement_id, theirs in other.by_statement.items():
            ours = self.by_statement.setdefault(statement_id, bytearray())
            ours.extend(bytes(max(0, len(theirs) - len(ours))))
            for place, bits in enumerate(theirs):
                ours[place] |= bits
