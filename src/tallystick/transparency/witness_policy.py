"""Which witnesses an issuer's log asks, and how many of them make a checkpoint a witnessed one."""

from typing import NamedTuple

from tallystick.core.errors import MalformedError
from tallystick.transparency.notes import COSIGNATURE_V1, VerifierKey, parse_verifier_key

__all__ = ["NO_WITNESSES", "Witness", "WitnessPolicy", "WitnessPolicyMalformedError", "parse_witness_policy"]


class WitnessPolicyMalformedError(MalformedError):
    """A policy names witnesses by verifier key and address, each once, and a quorum that they can reach."""

    code = "witness_policy_malformed"
    title = "Not a policy of witnesses"


class Witness(NamedTuple):
    """A witness: its key for cosignatures, and its submission prefix without a slash at the end."""

    key: VerifierKey
    url: str


class WitnessPolicy(NamedTuple):
    """A checkpoint is witnessed when `quorum` of the witnesses have cosigned it; with none, as soon as it is signed."""

    witnesses: tuple[Witness, ...]
    quorum: int

    @property
    def keys(self) -> list[str]:
        """The witnesses' keys as text."""
        return [str(one.key) for one in self.witnesses]


NO_WITNESSES = WitnessPolicy((), 0)


def parse_witness_policy(text: str | None, quorum: int) -> WitnessPolicy:
    """Read `<vkey> <url>` pairs separated by commas; raises WitnessPolicyMalformedError."""
    witnesses = []
    for pair in (text or "").split(","):
        if not pair.strip():
            continue
        vkey, _, url = pair.strip().partition(" ")
        key = parse_verifier_key(vkey)
        if key.kind != COSIGNATURE_V1:
            raise WitnessPolicyMalformedError("A witness's key is for cosignatures: of kind 4.")
        if not url.strip().startswith(("https://", "http://")):
            raise WitnessPolicyMalformedError("A witness has an http or https address.")
        witnesses.append(Witness(key, url.strip().rstrip("/")))
    # One operator with two names would be counted twice; that is for people to see. Two lines of one name are not.
    if len({one.key.name for one in witnesses} | {one.key.public_key for one in witnesses}) != 2 * len(
        witnesses
    ):
        raise WitnessPolicyMalformedError("A witness is named twice.")
    if not 0 <= quorum <= len(witnesses):
        raise WitnessPolicyMalformedError("The quorum is larger than the number of witnesses.")
    return WitnessPolicy(tuple(witnesses), quorum)
