"""Ours beside what a user would otherwise pick: ``make peers``; see docs/reference/peers.md."""
