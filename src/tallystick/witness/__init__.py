"""A witness (C2SP tlog-witness): a small service of its own that cosigns a log's checkpoint once it has seen that
the log only grew. It has its own key and its own files, and knows nothing of any bank.
"""

from tallystick.witness.cosigning import Answer, Witness
from tallystick.witness.records import Records, WitnessMisconfiguredError, create_witness, open_records
from tallystick.witness.serving import build_witness

__all__ = [
    "Answer",
    "Records",
    "Witness",
    "WitnessMisconfiguredError",
    "build_witness",
    "create_witness",
    "open_records",
]
