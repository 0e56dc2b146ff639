"""Verification and validation of the simulator: `cryoctl validate`."""
