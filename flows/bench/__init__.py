"""Benchmarks against peers: the same work, the same run, images per CPU-second."""
