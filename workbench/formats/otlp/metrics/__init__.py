"""A session as metrics: counts, gauges and exponential histograms over time."""
