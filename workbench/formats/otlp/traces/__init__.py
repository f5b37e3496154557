"""A session as traces: processes, threads, calls, waits, connections and requests as spans."""
