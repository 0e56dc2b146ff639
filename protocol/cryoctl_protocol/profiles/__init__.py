"""Probe profiles: what a probe is, its limits, and the figures its simulated plant uses."""
