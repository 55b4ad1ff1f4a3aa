"""Notes, verifier keys, cosignatures, checkpoints and receipts: published examples, and their malformed twins."""

import hashlib
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.transparency.checkpoints import (
    SIZE_MAX,
    Checkpoint,
    CheckpointMalformedError,
    parse_checkpoint,
)
from tallystick.transparency.merkle import leaf_hash, root_of_leaves
from tallystick.transparency.notes import (
    COSIGNATURE_V1,
    SIGNATURES_MAX,
    Note,
    NoteMalformedError,
    NoteSignatureInvalidError,
    VerifierKeyMalformedError,
    cosign,
    cosigned_at_seconds,
    decode_base64,
    encode_base64,
    format_note,
    parse_note,
    parse_verifier_key,
    sign_note,
    verified,
    verify_note,
)
from tallystick.transparency.proofs import (
    Receipt,
    ReceiptInvalidError,
    format_receipt,
    parse_receipt,
    verify_receipt,
)
from tests.transparency.keys import key_of, signer_of, verify_elsewhere

# From C2SP signed-note and from the documentation of golang.org/x/mod/sumdb/note.
GOOD: Final = (
    "This is an example message.\n\n\N{EM DASH} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7"
    "Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
VKEY: Final = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
OTHER: Final = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "\N{EM DASH} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJ"
    "nAM=\n"
)
OTHER_VKEY: Final = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
# From C2SP tlog-cosignature; its keys were not published.
COSIGNED: Final = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+x"
    "eMcTOAYQ8=\n"
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe"
    "+mbIUBkBIfZ+qnA==\n"
)


@pytest.mark.parametrize(("vkey", "raw"), [(VKEY, GOOD), (OTHER_VKEY, OTHER)])
def test_published_notes_verify(vkey: str, raw: str) -> None:
    key, note = parse_verifier_key(vkey), parse_note(raw.encode())
    assert str(key) == vkey
    assert format_note(note) == raw
    assert verify_note(note, [key]) == [key]
    with pytest.raises(NoteSignatureInvalidError):
        verify_note(note._replace(text=note.text.replace("is", "was")), [key])


def test_a_published_cosignature_is_read() -> None:
    note = parse_note(COSIGNED.encode())
    assert format_note(note) == COSIGNED
    checkpoint = parse_checkpoint(note.text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert str(checkpoint) == note.text
    _, line = note.signatures
    assert (line.name, line.key_hash.hex()) == ("witness.example.com/w1", "8d66cf3f")
    assert cosigned_at_seconds(line) == 1_679_315_147
    assert len(line.signature) == 72


def test_a_cosignature_is_what_the_specification_says() -> None:
    witness = key_of("witness.example/w1", COSIGNATURE_V1)
    text = parse_note(COSIGNED.encode()).text
    line = cosign(text, witness, signer_of(witness.name), 1_679_315_147)
    assert line.key_hash == hashlib.sha256(b"witness.example/w1\n\x04" + witness.public_key).digest()[:4]
    assert line.signature[:8] == (1_679_315_147).to_bytes(8, "big")
    verify_elsewhere(witness, line.signature[8:], b"cosignature/v1\ntime 1679315147\n" + text.encode())
    assert verified(text, line, witness)
    later = line._replace(signature=(1_679_315_148).to_bytes(8) + line.signature[8:])
    for other in (later, line._replace(signature=line.signature[:-1]), line._replace(signature=b"")):
        assert not verified(text, other, witness)
    assert not verified(text + "more\n", line, witness)
    # The same key for another kind of signature is another key, and its signatures are not interchangeable.
    as_log = key_of("witness.example/w1")
    assert as_log.hash != witness.hash
    assert not verified(text, line._replace(key_hash=as_log.hash), as_log)
    overlong = cosign(text, witness, signer_of(witness.name), 2**63)
    assert not verified(text, overlong, witness)


def test_only_known_keys_count_and_a_known_key_that_fails_spoils_the_note() -> None:
    key, other = key_of("log.example"), key_of("other.example")
    text = "log.example\n1\nx\n"
    good, strange = sign_note(text, key, signer_of(key.name)), sign_note(text, other, signer_of(other.name))
    assert verify_note(Note(text, (strange, good, good)), [key]) == [key]
    assert verify_note(Note(text, (strange,)), [key]) == []
    # The name alone, or the hash alone, names another key.
    for impostor in (strange._replace(name=key.name), strange._replace(key_hash=key.hash)):
        assert verify_note(Note(text, (impostor, good)), [key]) == [key]
    bad = good._replace(signature=strange.signature)
    for signatures in ((bad,), (good, bad), (bad, good)):
        with pytest.raises(NoteSignatureInvalidError):
            verify_note(Note(text, signatures), [key])


LINE: Final = GOOD.splitlines()[-1]
ENCODED: Final = LINE.rpartition(" ")[2]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"\n\n",
        b"text\n",
        b"text\n\n",
        GOOD.encode()[:-1],
        GOOD.encode().replace(b"\n\n", b"\n"),
        GOOD.encode() + b"\n",
        GOOD.encode().replace(b"example ", b"example\r"),
        GOOD.encode().replace(b"example ", b"example\0"),
        GOOD.encode().replace(b"example ", b"example\xff"),
        GOOD.encode().replace(b"example ", b"example\t"),
        GOOD.encode("utf-16"),
        GOOD.replace("—", "-").encode(),
        GOOD.replace("— ", "—").encode(),
        GOOD.replace(" Uw", "  Uw").encode(),
        GOOD.replace("example.com/foo", "").encode(),
        GOOD.replace("example.com/foo", "a+b").encode(),
        GOOD.replace("example.com/foo", "a\u00a0b").encode(),
        GOOD.replace(ENCODED, "").encode(),
        GOOD.replace(ENCODED, "AAAA").encode(),
        GOOD.replace(ENCODED, "AAAAAA==").encode(),
        GOOD.replace(ENCODED, ENCODED.rstrip("=")).encode(),
        GOOD.replace(ENCODED, ENCODED + "=").encode(),
        GOOD.replace(ENCODED, ENCODED.replace("aQM=", "aQN=")).encode(),
        GOOD.replace(ENCODED, "_" + ENCODED[1:]).encode(),
        GOOD.replace(ENCODED, ENCODED + " x").encode(),
        GOOD.encode() + (LINE + "\n").encode() * SIGNATURES_MAX,
    ],
)
def test_what_is_no_note_is_refused(raw: bytes) -> None:
    assert raw != GOOD.encode()
    with pytest.raises(NoteMalformedError):
        parse_note(raw)


def test_many_signatures_and_empty_lines_in_the_text_are_a_note() -> None:
    raw = "a\n\nb\n\n" + (LINE + "\n") * SIGNATURES_MAX
    note = parse_note(raw.encode())
    assert (note.text, len(note.signatures)) == ("a\n\nb\n", SIGNATURES_MAX)
    assert format_note(note) == raw


LOW_ORDER: Final = encode_base64(b"\x01" + b"\x01" + b"\0" * 31)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "++",
        VKEY.replace("530d903a", "530d903b"),
        VKEY.replace("530d903a", "530D903A"),
        VKEY.replace("530d903a", "530d903"),
        VKEY.replace("example.com/foo", "example.com/bar"),
        VKEY.replace("example.com/foo", ""),
        VKEY.replace("example.com/foo", "example com/foo"),
        VKEY[:-1],
        VKEY + "=",
        VKEY + "A",
        VKEY.replace("+Ae", "+Be"),
        f"x+{hashlib.sha256(b'x' + chr(10).encode() + decode_base64(LOW_ORDER)).hexdigest()[:8]}+{LOW_ORDER}",
        f"x+00000000+{encode_base64(bytes([2]) + bytes(32))}",
        f"x+00000000+{encode_base64(bytes([1]) + bytes(31))}",
    ],
)
def test_what_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(VerifierKeyMalformedError):
        parse_verifier_key(text)


ROOT: Final = encode_base64(bytes(32))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "o\n",
        "o\n1\n",
        f"o\n1\n{ROOT}",
        f"\n1\n{ROOT}\n",
        f"o\n\n{ROOT}\n",
        f"o\n01\n{ROOT}\n",
        f"o\n+1\n{ROOT}\n",
        f"o\n-1\n{ROOT}\n",
        f"o\n1 \n{ROOT}\n",
        f"o\n1_0\n{ROOT}\n",
        f"o\n\u0661\n{ROOT}\n",
        f"o\n0x1\n{ROOT}\n",
        f"o\n{SIZE_MAX + 1}\n{ROOT}\n",
        f"o\n{'9' * 5_000}\n{ROOT}\n",
        f"o\n1\n{ROOT[:-1]}\n",
        f"o\n1\n{encode_base64(bytes(31))}\n",
        f"o\n1\n{encode_base64(bytes(33))}\n",
        f"o\n1\n{ROOT}\n\n",
        f"o\n1\n{ROOT}\n\nextension\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(CheckpointMalformedError):
        parse_checkpoint(text)


@pytest.mark.parametrize("size", [0, 1, SIZE_MAX])
def test_a_checkpoint_is_read_back_with_its_extensions(size: int) -> None:
    checkpoint = Checkpoint("o", size, bytes(32), ("more", "lines"))
    assert parse_checkpoint(str(checkpoint)) == checkpoint


class TestReceipts:
    log = key_of("log.example")
    witnesses = tuple(key_of(f"w{number}.example", COSIGNATURE_V1) for number in range(3))
    leaves = tuple(leaf_hash(f"entry {number}".encode()) for number in range(5))

    def receipt(self, cosigned: int = 2) -> Receipt:
        text = str(Checkpoint(self.log.name, 5, root_of_leaves(self.leaves)))
        lines = [cosign(text, one, signer_of(one.name), 7) for one in self.witnesses[:cosigned]]
        note = Note(text, (sign_note(text, self.log, signer_of(self.log.name)), *lines))
        path = (self.leaves[3], root_of_leaves(self.leaves[:2]), self.leaves[4])
        return Receipt(2, path, note)

    def check(self, receipt: Receipt, entry: bytes = b"entry 2", quorum: int = 2, **named: str) -> Checkpoint:
        return verify_receipt(
            receipt,
            entry,
            origin=named.get("origin", self.log.name),
            log_keys=[self.log],
            witness_keys=self.witnesses,
            quorum=quorum,
        )

    def test_it_proves_its_entry_without_anybody(self) -> None:
        text = format_receipt(self.receipt())
        assert text.startswith("c2sp.org/tlog-proof@v1\nindex 2\n")
        read = parse_receipt(text.encode())
        assert read == self.receipt()
        assert self.check(read).size == 5

    def test_extra_data_travels_along(self) -> None:
        receipt = self.receipt()._replace(extra=b"\0more")
        text = format_receipt(receipt)
        assert text.splitlines()[1] == "extra AG1vcmU="
        assert parse_receipt(text.encode()) == receipt

    def test_it_proves_nothing_else(self) -> None:
        receipt = self.receipt()
        forged = sign_note(receipt.note.text, self.log, signer_of("somebody"))
        for changed, entry in (
            (receipt, b"entry 3"),
            (receipt._replace(leaf_index=3), b"entry 2"),
            (receipt._replace(hashes=receipt.hashes[::-1]), b"entry 2"),
            (receipt._replace(hashes=receipt.hashes[:-1]), b"entry 2"),
            (
                receipt._replace(note=receipt.note._replace(signatures=receipt.note.signatures[1:])),
                b"entry 2",
            ),
            (receipt._replace(note=receipt.note._replace(signatures=(forged,))), b"entry 2"),
            (self.receipt(cosigned=1), b"entry 2"),
        ):
            with pytest.raises(ReceiptInvalidError):
                self.check(changed, entry)
        with pytest.raises(ReceiptInvalidError):
            self.check(receipt, origin="other.example")
        with pytest.raises(ReceiptInvalidError):
            self.check(receipt, quorum=3)

    def test_a_witness_counts_once(self) -> None:
        receipt = self.receipt(cosigned=1)
        signed, line = receipt.note.signatures
        twice = receipt._replace(note=Note(receipt.note.text, (signed, line, line)))
        with pytest.raises(ReceiptInvalidError, match="too few"):
            self.check(twice)
        assert self.check(twice, quorum=1).size == 5

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2"),
            ("index 2", "index 02"),
            ("index 2", "index"),
            ("index 2\n", ""),
            ("index 2", "index 2\nextra AAAA"),
            ("index 2", "extra A\nindex 2"),
            ("index 2", "index 2\nAAAA"),
            ("index 2", "index 2\n" + "\n".join([ROOT] * 61)),
            ("\n\nlog.example", "\nlog.example"),
            ("\u2014", "-"),
        ],
    )
    def test_what_is_no_receipt_is_refused(self, old: str, new: str) -> None:
        text = format_receipt(self.receipt())
        assert old in text
        with pytest.raises(ReceiptInvalidError):
            parse_receipt(text.replace(old, new, 1).encode())


@given(st.binary(max_size=200))
def test_no_bytes_make_a_reader_fail_otherwise(raw: bytes) -> None:
    for read, refusal in ((parse_note, NoteMalformedError), (parse_receipt, ReceiptInvalidError)):
        for octets in (
            raw,
            GOOD.encode()[:40] + raw,
            format_receipt(TestReceipts().receipt()).encode()[:60] + raw,
        ):
            try:
                read(octets)
            except refusal:
                continue


@given(st.binary(max_size=60))
def test_base64_has_one_spelling(octets: bytes) -> None:
    text = encode_base64(octets)
    assert decode_base64(text) == octets
    for other in (text + "=", text + "\n", " " + text, text.rstrip("=") + "!", text.replace("A", "A\n")):
        if other != text:
            with pytest.raises(ValueError, match="base64"):
                decode_base64(other)
