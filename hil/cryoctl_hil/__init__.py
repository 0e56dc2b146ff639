"""The only place where controller and simulator meet: benchmarks, later rigs for hardware."""
