"""All that touches the kernel: objects, programs, maps, links and buffers."""
