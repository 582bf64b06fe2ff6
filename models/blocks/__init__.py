"""Blocks that networks are stacked from, one file a family."""
