"""The simulated cryoprobe: plant, sensors and firmware behind the same wire as a real one."""
