"""Run the command line: ``python -m cryoctl``."""

from cryoctl.cli import main

main()
