"""`python -m ssdzoo` is the command `ssdzoo`."""

from ssdzoo.cli import main

main()
