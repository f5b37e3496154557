/* Put before each BCC program of the benches: where its events and drops go. */
#include <uapi/linux/ptrace.h>

BPF_PERCPU_ARRAY(dropped, u64, 1);
#ifdef RING_PAGES
BPF_RINGBUF_OUTPUT(events, RING_PAGES);
#else
BPF_PERF_OUTPUT(events);
#endif

