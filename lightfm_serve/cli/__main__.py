"""``python -m lightfm_serve.cli``."""

from lightfm_serve.cli import main

main()
