"""The root manifests of a pack: which keys may sign, said by root keys that the auditor pins.

Each version is signed by as many roots as the one before it asks for and by as many as it asks for itself. Trust begins
at the first version that the pinned roots signed; the newest one that follows on it decides.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from tallystick_verify.canonical import JsonRefusedError, parse, parse_canonical
from tallystick_verify.ed25519 import PublicKey, PublicKeyRefusedError
from tallystick_verify.encodings import EncodingRefusedError, base64url_bytes
from tallystick_verify.failures import ExitCode, Failure
from tallystick_verify.jws import ROOT_TYPE, Token, read_token
from tallystick_verify.manifest import ROOT_MANIFESTS_NAME
from tallystick_verify.policy_file import Policy, RootRule

__all__ = ["NamedKey", "Root", "read_root"]

_MEMBERS: Final = frozenset({"issuer_id", "keys", "origin", "root_keys", "threshold", "version"})
_KEY_MEMBERS: Final = frozenset({"use", "x"})
_SPAN_MEMBERS: Final = frozenset({"first_index", "last_index"})
_OPTIONAL_MEMBERS: Final = _SPAN_MEMBERS | {"lost"}
_USES: Final = frozenset({"event", "checkpoint"})
_VERSIONS_MAX: Final = 10_000


class NamedKey(NamedTuple):
    """A key that may sign. The indexes are of one that signed before the log had events about keys.

    `last_index` None is for the one that was active when the log came under its root.
    """

    use: str
    public_key: PublicKey
    first_index: int | None
    last_index: int | None
    lost: bool = False


class Root(NamedTuple):
    """What the newest trusted manifest says, and every version of the chain by the hash that events name it by.

    `lost` are keys whose private part nobody has any more, with the first version that says so.
    """

    version: int
    origin: str
    keys: dict[str, NamedKey]
    hashes: dict[int, str]
    lost: dict[str, int]


class _Manifest(NamedTuple):
    issuer_id: str
    origin: str
    version: int
    threshold: int
    root_keys: tuple[PublicKey, ...]
    keys: dict[str, NamedKey]
    sha256: str
    tokens: tuple[Token, ...]


def read_root(lines: Iterable[bytes], rule: RootRule, policy: Policy) -> Root:
    """Return what may be trusted of `root_manifests.jsonl`. Raises Failure (key), (signature) or (unsupported)."""
    chain: list[_Manifest] = []
    for number, line in enumerate(lines, 1):
        place = f"{ROOT_MANIFESTS_NAME}, version {number}"
        if number > _VERSIONS_MAX:
            raise _refused("There are more root manifests than are read.").at(place)
        try:
            found = _manifest(line)
            _check_place(found, number, policy, chain)
            if chain:
                _check_signed(
                    found, chain[-1].root_keys, chain[-1].threshold, "that the version before it names"
                )
            _check_signed(found, found.root_keys, found.threshold, "of its own")
        except Failure as failure:
            raise failure.at(place) from None
        chain.append(found)
    trusted = [one.version for one in chain if len(_signers(one, rule.keys)) >= rule.threshold]
    if not trusted:
        raise _refused("No root manifest is signed by the root keys that you pinned.").at(ROOT_MANIFESTS_NAME)
    newest = chain[-1]
    if newest.version < rule.version_min:
        raise _refused(
            f"The newest root manifest is version {newest.version}, and you take none below {rule.version_min}."
        ).at(ROOT_MANIFESTS_NAME)
    # What is older than the trusted roots is vouched for by nobody; what it named, the newest one names again.
    hashes = {one.version: one.sha256 for one in chain if one.version >= trusted[0]}
    lost: dict[str, int] = {}
    for one in chain:
        if one.version in hashes:
            for kid, named in one.keys.items():
                if named.lost:
                    lost.setdefault(kid, one.version)
    return Root(newest.version, newest.origin, newest.keys, hashes, lost)


def _check_place(found: _Manifest, number: int, policy: Policy, chain: list[_Manifest]) -> None:
    if found.version != number:
        raise _refused(f"It is version {found.version}, where {number} belongs.")
    if found.issuer_id != policy.issuer_id:
        raise _refused("The root manifest is another issuer's.")
    origin = policy.checkpoint.origin if policy.checkpoint is not None else found.origin
    if found.origin != origin or any(one.origin != origin for one in chain):
        raise _refused(f"The root manifest is of another log: {found.origin}.")
    if chain and not (
        set(_terms(chain[-1])) <= set(_terms(found)) and set(_lost(chain[-1])) <= set(_lost(found))
    ):
        raise _refused(
            "The root manifest leaves out a key, or changes one, that the version before it names."
        )


def _terms(manifest: _Manifest) -> Iterator[tuple[str, str, int | None, int | None]]:
    for kid, one in manifest.keys.items():
        yield kid, one.use, one.first_index, one.last_index


def _lost(manifest: _Manifest) -> Iterator[str]:
    yield from (kid for kid, one in manifest.keys.items() if one.lost)


def _check_signed(found: _Manifest, roots: Iterable[PublicKey], threshold: int, whose: str) -> None:
    count = len(_signers(found, roots))
    if count < threshold:
        raise _refused(f"{count} root keys {whose} signed the root manifest, and {threshold} are needed.")


def _signers(found: _Manifest, roots: Iterable[PublicKey]) -> set[str]:
    """Return which of the roots signed; a signature that names one of them and is not its own is forged."""
    known = {one.kid: one for one in roots}
    signed = set()
    for token in found.tokens:
        root = known.get(token.kid)
        if root is None:
            continue
        if not root.verifies(token.signature, token.signing_input):
            raise Failure(ExitCode.SIGNATURE, "A signature of the root manifest does not verify.")
        signed.add(token.kid)
    return signed


def _manifest(line: bytes) -> _Manifest:
    document = _object(line, {"payload", "signatures"})
    segment, signatures = document["payload"], document["signatures"]
    if not isinstance(segment, str) or not isinstance(signatures, list):
        raise _malformed("payload and signatures are wanted")
    tokens = tuple(_tokens(segment, signatures))
    try:
        payload = base64url_bytes(segment.encode())
        found = parse_canonical(payload)
    except (EncodingRefusedError, JsonRefusedError) as error:
        raise _malformed(str(error)) from None
    if not isinstance(found, dict) or found.keys() != _MEMBERS:
        raise Failure(ExitCode.UNSUPPORTED, "The root manifest has other members than expected.")
    if not isinstance(found["issuer_id"], str) or not isinstance(found["origin"], str):
        raise _malformed("issuer_id and origin must be texts")
    if not isinstance(found["keys"], list) or not isinstance(found["root_keys"], list):
        raise _malformed("keys and root_keys must be lists")
    roots = tuple(_public_key(x) for x in found["root_keys"])
    named = [_named(one) for one in found["keys"]]
    keys = {one.public_key.kid: one for one in named}
    if len(keys.keys() | {one.kid for one in roots}) != len(named) + len(roots):
        raise _malformed("a key is named twice")
    version, threshold = found["version"], found["threshold"]
    if not _is_index(version) or not _is_index(threshold) or not 1 <= threshold <= len(roots):
        raise _malformed("version and threshold must be numbers that can be")
    sha256 = hashlib.sha256(payload).hexdigest()
    return _Manifest(found["issuer_id"], found["origin"], version, threshold, roots, keys, sha256, tokens)


def _tokens(segment: str, signatures: list[Any]) -> Iterator[Token]:
    for one in signatures:
        if not isinstance(one, dict) or one.keys() != {"protected", "signature"}:
            raise _malformed("a signature has protected and signature")
        yield read_token(f"{one['protected']}.{segment}.{one['signature']}".encode(), ROOT_TYPE)


def _named(found: Any) -> NamedKey:
    if not isinstance(found, dict) or not _KEY_MEMBERS <= found.keys() <= _KEY_MEMBERS | _OPTIONAL_MEMBERS:
        raise Failure(ExitCode.UNSUPPORTED, "A key of the root manifest has other members than expected.")
    if not isinstance(found["use"], str) or found["use"] not in _USES:
        raise Failure(ExitCode.UNSUPPORTED, "A key of the root manifest has a use that is not known here.")
    first_index, last_index = found.get("first_index"), found.get("last_index")
    if not all(_is_index(found[name]) for name in _SPAN_MEMBERS & found.keys()):
        raise _malformed("the indexes of a key are none")
    if last_index is not None and first_index is None:
        raise _malformed("the indexes of a key are none")
    if found.get("lost", True) is not True:
        raise _malformed("a key is lost, or it is not")
    return NamedKey(found["use"], _public_key(found["x"]), first_index, last_index, "lost" in found)


def _public_key(x: Any) -> PublicKey:
    try:
        return PublicKey(base64url_bytes(x.encode() if isinstance(x, str) else b"?"))
    except (EncodingRefusedError, PublicKeyRefusedError) as error:
        raise _malformed(f"a public key can't be trusted: {error}") from None


def _object(line: bytes, members: set[str]) -> dict[str, Any]:
    try:
        found = parse(line)
    except JsonRefusedError as error:
        raise _malformed(str(error)) from None
    if not isinstance(found, dict) or found.keys() != members:
        raise _malformed(f"{' and '.join(sorted(members))} are wanted")
    return found


def _is_index(value: Any) -> bool:
    return type(value) is int and value >= 0


def _malformed(reason: str) -> Failure:
    return _refused(f"The root manifest is malformed: {reason}.")


def _refused(message: str) -> Failure:
    return Failure(ExitCode.KEY, message)
