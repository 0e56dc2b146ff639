"""Test rigs: what a suite drives a probe with, whichever probe that is."""
