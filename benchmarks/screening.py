"""How fast holders are screened: `python -m benchmarks.screening [entities] [holders]`.

An invented list of so many entities with three names each, and so many holders of whom one in fifty is nearly on it,
on an embedded PostgreSQL of its own; one process, pages of 200 as the command takes them.
"""

import json
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import sqlalchemy

from tallystick import participants, screening, tokens
from tallystick.core import migrations
from tallystick.core.clock import SystemClock
from tallystick.core.database import Database
from tallystick.core.embedded_postgres import embedded_postgres
from tallystick.participants import HolderKind, Principal, Role

_SYLLABLES: Final = [a + b for a in "bcdfghklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "or")]
_ENDINGS: Final = (
    "Trading",
    "Holding",
    "Shipping",
    "Textiles",
    "International",
    "Foods",
    "Motors",
    "Logistics",
)
_FORMS: Final = ("Ltd", "GmbH", "LLC", "SA", "Co")
_PAGE: Final = 200
_CLOCK: Final = SystemClock()


def main(entity_count: int, holder_count: int) -> None:
    """Print how long importing, the first screening and a rescreening take."""
    chance = random.Random(4711)
    listed = [[_name(chance) for _ in range(3)] for _ in range(entity_count)]
    content = "\n".join(
        json.dumps(
            {"id": f"e-{number}", "schema": "Company", "properties": {"name": names[:1], "alias": names[1:]}}
        )
        for number, names in enumerate(listed)
    ).encode()
    with tempfile.TemporaryDirectory() as directory, embedded_postgres(Path(directory)) as server:
        migrations.upgrade(server.owner_url)
        database = Database(server.service_url, pool_size=2)
        operator = _open(database, chance, listed, holder_count)
        timer = _Timer()
        database.run(
            lambda connection: screening.import_list(
                connection, _CLOCK, operator, content, name="l", version="1", size_max_bytes=len(content)
            )
        )
        timer.tell(f"import of {entity_count} entities with three names each", entity_count)
        timer = _Timer()
        screened, hits, pages = _run(database, operator.issuer_id)
        timer.tell(f"first screening of {screened} holders, {hits} with hits", screened)
        print(f"slowest page of {_PAGE}: {max(pages):.2f} s; slowest but the first: {max(pages[1:]):.2f} s")
        timer = _Timer()
        _run(database, operator.issuer_id)
        timer.tell(f"going through {screened} holders again, with nothing to do", screened)
        print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
        database.close()


def _open(database: Database, chance: random.Random, listed: list[list[str]], holder_count: int) -> Principal:
    def work(connection: sqlalchemy.Connection) -> Principal:
        bank = tokens.open_issuer(
            connection,
            _CLOCK,
            legal_name="Riverbank AG",
            lei="529900T8BM49AURSDO55",
            bic="RIVBDEFFXXX",
            jurisdiction="DE",
        )
        for number in range(holder_count):
            near = number % 50 == 0
            participants.register_holder(
                connection,
                _CLOCK,
                bank.issuer_id,
                kind=HolderKind.CORPORATE,
                legal_name=_misspelled(chance, chance.choice(listed)[0]) if near else _name(chance),
                country="DE",
                residency="DE",
            )
        return participants.register_principal(
            connection, _CLOCK, bank.issuer_id, name="o", roles=frozenset({Role.OPERATOR}), person="o"
        )

    return database.run(work)


def _run(database: Database, issuer_id: str) -> tuple[int, int, list[float]]:
    count = hits = 0
    after: str | None = ""
    pages = []
    while after is not None:
        began = time.perf_counter()
        done = database.run(
            lambda connection, behind=after: screening.rescreen(  # type: ignore[misc]
                connection, _CLOCK, issuer_id, after=behind, limit=_PAGE
            )
        )
        pages.append(time.perf_counter() - began)
        count += done.screened_count + done.kept_count
        hits += done.hit_count
        after = done.next_after
    return count, hits, pages


def _name(chance: random.Random) -> str:
    words = ["".join(chance.choices(_SYLLABLES, k=chance.randint(2, 4))) for _ in range(chance.randint(1, 3))]
    return " ".join(
        [*words, *chance.choices(_ENDINGS, k=chance.randint(0, 1)), chance.choice(_FORMS)]
    ).title()


def _misspelled(chance: random.Random, name: str) -> str:
    place = chance.randrange(len(name))
    return name[:place] + chance.choice("aeiou") + name[place + 1 :]


class _Timer:
    """The time since it was made, on the wall and on this process's share of the processors."""

    def __init__(self) -> None:
        self._began, self._used = time.perf_counter(), time.process_time()

    def tell(self, what: str, count: int) -> None:
        seconds, used = time.perf_counter() - self._began, time.process_time() - self._used
        print(
            f"{what}: {seconds:.1f} s, {count / seconds:,.0f} a second; {used * 1_000 / count:.2f} ms of a core each"
        )


if __name__ == "__main__":
    main(*(int(one) for one in (sys.argv[1:] + ["10000", "2000"][len(sys.argv) - 1 :])))
