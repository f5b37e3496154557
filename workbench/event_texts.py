"""Texts of what the kernel's side knows by number: those of the enums of ``bpf/``, in their order.

They become the values of dictionary columns. A test of each kind compares them with the enum in its
object's BTF.
"""

from __future__ import annotations

from workbench import network_names as network

STACK_STATUSES = (
    "complete",
    "truncated",
    "no_mapping",
    "bad_rule",
    "read_fault",
    "frame_pointer_end",
    "image_missing",
    "kernel_only",
    "unsupported",
    "python_truncated",
    "python_incomplete",
)
"""How walks of the user's stack end: ``enum wb_stack_status`` of ``bpf/stack.bpf.h``."""
WHOLE_STACKS = ("complete", "kernel_only")
"""Statuses of stacks that lack nothing."""
OFF_STATES = (
    "preempted",
    "sleeping",
    "uninterruptible",
    "io_wait",
    "stopped",
    "traced",
    "new",
    "exited",
    "none",
    "other",
)
"""Why threads leave the CPU: ``enum wb_off_state`` of ``bpf/task.bpf.h``."""
WAKER_CONTEXTS = ("none", "task", "softirq", "interrupt")
"""Where wake-ups come from: ``enum wb_waker_context`` of ``bpf/task.bpf.h``."""
MEMORY_OPS = ("alloc", "free", "map", "unmap", "fault", "oom")
"""What happens to memory: ``enum wb_memory_op`` of ``bpf/memory.bpf.c``."""
BLOCK_OPS = ("read", "write", "flush", "discard", "secure_erase", "write_zeroes", "other")
"""What block requests are for: ``enum wb_block_op`` of ``bpf/block.bpf.c``."""
BLOCK_CAUSES = ("queued", "writeback")
"""Whose block requests are: ``enum wb_block_cause`` of ``bpf/block.bpf.c``."""
FILE_OPS = ("other", "open", "close", "read", "write", "sync")
"""What is done to files: ``enum wb_file_op`` of ``bpf/files.bpf.c``."""
FILE_TYPES = (
    "none",
    "regular",
    "directory",
    "character",
    "block",
    "pipe",
    "socket",
    "other",
)
"""What files are: ``enum wb_file_type`` of ``bpf/files.bpf.c``."""
CACHE_OPS = ("lookup", "fault", "map", "add", "remove", "dirty", "write")
"""What happens to pages of files: ``enum wb_cache_op`` of ``bpf/pagecache.bpf.c``."""
RUN_CAUSES = ("woken", "preempted", "new", "unknown")
"""How threads became ready to run: ``enum wb_run_cause`` of ``bpf/sched.bpf.c``."""
EXEC_EVENTS = ("fork", "exec", "failed", "exit")
"""What happens to processes: ``enum wb_exec_event`` of ``bpf/exec.bpf.c``."""
SIGNAL_EVENTS = ("generated", "delivered")
SIGNAL_RESULTS = (
    "queued",
    "ignored",
    "already_pending",
    "overflow_fail",
    "lose_info",
    "none",
)
"""What becomes of generated signals: ``enum wb_signal_result`` of ``bpf/signals.bpf.c``."""
SIGNAL_ACTIONS = ("handler", "default", "ignore", "none")
"""What delivered signals do: ``enum wb_signal_action`` of ``bpf/signals.bpf.c``."""
LOCK_EVENTS = ("wait", "wake")
LOCK_TYPES = (
    "futex",
    "futex_pi",
    "spinlock",
    "rwlock_read",
    "rwlock_write",
    "mutex",
    "rwsem_read",
    "rwsem_write",
    "rt_mutex",
    "percpu_rwsem",
    "other",
)
"""What threads wait for: ``enum wb_lock_type`` of ``bpf/lock.bpf.h``."""
IRQ_TYPES = (
    "device",
    "softirq",
    "local_timer",
    "reschedule",
    "call_function",
    "call_function_single",
    "irq_work",
)
"""What interrupts: ``enum wb_irq_type`` of ``bpf/irq.bpf.c``."""
TEXTS: dict[str, tuple[str, ...]] = {
    "wb_memory_op": MEMORY_OPS,
    "wb_cache_op": CACHE_OPS,
    "wb_file_op": FILE_OPS,
    "wb_file_type": FILE_TYPES,
    "wb_block_op": BLOCK_OPS,
    "wb_block_cause": BLOCK_CAUSES,
    "wb_stack_status": STACK_STATUSES,
    "wb_off_state": OFF_STATES,
    "wb_waker_context": WAKER_CONTEXTS,
    "wb_run_cause": RUN_CAUSES,
    "wb_exec_event": EXEC_EVENTS,
    "wb_lock_event": LOCK_EVENTS,
    "wb_lock_type": LOCK_TYPES,
    "wb_irq_type": IRQ_TYPES,
    "wb_signal_event": SIGNAL_EVENTS,
    "wb_signal_result": SIGNAL_RESULTS,
    "wb_signal_action": SIGNAL_ACTIONS,
    **network.TEXTS,
}
"""Texts of the typedefs that are dictionaries, by their code."""
NAMES = network.NAMES
"""Texts of the typedefs that are codes in C and strings in Arrow; the last stands for others."""
