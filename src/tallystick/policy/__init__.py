"""Whether an instruction may be done at all: pure decisions over facts that the write path has read under lock."""

from tallystick.policy.decide import (
    REFUSALS,
    Decision,
    PartyFacts,
    PolicyFacts,
    decide,
    refusal,
)

__all__ = ["REFUSALS", "Decision", "PartyFacts", "PolicyFacts", "decide", "refusal"]
