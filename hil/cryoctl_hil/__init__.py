"""The only place where controller and simulator meet: benchmarks, and rigs for tests on hardware."""
