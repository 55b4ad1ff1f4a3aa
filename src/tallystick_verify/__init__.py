"""tallystick-verify: check an evidence pack offline, with public keys only.

It shares no code with the service that it checks, and needs nothing but Python and `cryptography`. As a library:

    report = verify_pack(Path("evidence"), read_policy(Path("bank.toml")), Options(), progress)
"""

from tallystick_verify.failures import ExitCode, Failure
from tallystick_verify.policy_file import Policy, PolicyFileError, read_policy
from tallystick_verify.report import Report
from tallystick_verify.verifying import Options, Progress, verify_pack

__all__ = [
    "ExitCode",
    "Failure",
    "Options",
    "Policy",
    "PolicyFileError",
    "Progress",
    "Report",
    "read_policy",
    "verify_pack",
]
