"""A probe's firmware as machine code on an emulated Cortex-M4, in step with the plant."""
