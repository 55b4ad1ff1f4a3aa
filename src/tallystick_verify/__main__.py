"""`python -m tallystick_verify`."""

from tallystick_verify.cli import main

# The helpers of a long verification import this module too.
if __name__ == "__main__":
    main()
