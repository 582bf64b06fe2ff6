"""``python -m popshift.flows.cli`` is ``popshift``."""

from .command import main

main(prog_name="popshift")
