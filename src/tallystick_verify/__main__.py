"""`python -m tallystick_verify`."""

from tallystick_verify.cli import main

main()
