"""The kernel matrix: tests that run on stock Debian kernels, booted under QEMU.

:mod:`~vm.kernels` fetches a kernel's packages, :mod:`~vm.initrd` makes what it boots into,
:mod:`~vm.machine` runs a command there. The guest sees the host's file system read-only, with
an overlay in memory: the checkout, its virtual environment and all tools are at the same paths.
``python -m tests.vm`` (``make vmtest``) runs ``guest/`` on each kernel.
"""
