"""The simulated probe as a port of this machine: the only part of the simulator with a clock."""
