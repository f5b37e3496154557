"""Pure functions from a recording to a polars DataFrame or numpy arrays."""
