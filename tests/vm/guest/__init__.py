"""What runs on the other kernels, see :mod:`vm`. Everything is slow there: few, telling tests."""
