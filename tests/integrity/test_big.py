import resource, time
from sqlalchemy import text
from tallystick import integrity
from tallystick.integrity import _CHECKS
from tallystick.tokens import Kind, Submission
from tests.integrity.lived import TILES, check, seal, witnessed

N = int(__import__("os").environ.get("N", "5"))


def test_try(bank):
    bank.mint("HARBOUR-USD", "90000.00")
    for n in range(N):
        requests = tuple(
            bank.request(
                Kind.TRANSFER,
                bank.maker,
                amount="0.01",
                currency="USD",
                payer_account_id=bank.account_id("HARBOUR-USD"),
                payee_account_id=bank.account_id("LANTERN-USD"),
                reference=f"i {n}",
            )
            for _ in range(1000)
        )
        bank.settle(Submission(requests))
    witnessed(bank)
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for sealed in (0, 1):
        t = time.time()
        c = time.process_time()
        last = [None, t]

        def p(what, done, total):
            now = time.time()
            if last[0] and now - last[1] > 0.2:
                print("   ", last[0], round(now - last[1], 2))
            last[0] = what
            last[1] = now

        with bank.database.read() as con:
            con.execute(text("SET LOCAL statement_timeout='60s'"))
            try:
                found = integrity.check(con, TILES, bank.issuer_id, progress=p)
            except Exception as e:
                print("FAILED in", last[0], str(e)[:3000])
                assert 0
        print(
            "check",
            found.event_count,
            found.finding_count,
            round(time.time() - t, 1),
            "s cpu",
            round(time.process_time() - c, 1),
            "rss",
            rss // 1024,
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        )
        if not sealed:
            t = time.time()
            s = seal(bank)
            print("seal", round(time.time() - t, 1), s.record_count)
    assert 0
