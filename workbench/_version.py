"""Version of the package, read by hatchling and written into every session."""

__version__ = "0.1.0"
