"""Benchmarks against baselines: ``python -m bench``; see docs/performance.md."""
