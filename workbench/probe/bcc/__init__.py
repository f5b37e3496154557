"""BCC: programs that are written in its C, compiled here and now, for any kernel with BTF."""
