"""tallystick: a bank's service for turning deposits into tokens on a permissioned ledger and back."""

__version__ = "0.1.0"
