"""What people see: flamegraph, system call overview, report."""
