"""The recording side: a process of its own that drains buffers into a session."""
