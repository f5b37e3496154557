"""Measurements of the workbench beside its peers: ``make bench`` or ``python -m benches``.

Each bench is a module with ``run(plan) -> Result``; :mod:`benches.harness` has what they share.
All sides of a comparison are measured in the same run, with the same workload, on one machine.
"""
