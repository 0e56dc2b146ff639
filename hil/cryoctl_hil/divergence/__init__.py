"""The same scenarios on several rigs, and how far each signal is from that of the first."""
