"""`python -m epp`, the same as `epp`."""

from epp.cli.main import main

main(prog_name="epp")
