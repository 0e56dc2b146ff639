"""The only place where controller and simulator meet: benchmarks, validation, later rigs."""
