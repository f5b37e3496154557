/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* CPython 3.11 and 3.12: an evaluation that is being entered.
 *
 * _PyEval_EvalFrameDefault() (Python/ceval.c) links its _PyCFrame into the thread state before it
 * fills it in. For some ten instructions the frame there is what an earlier call left on the C
 * stack, and compilers write `previous` last of all, so that it does not help either. A chain is
 * taken as true when its first entry from C leads to the frame of the previous _PyCFrame. Where it
 * does not, the registers tell, as the function still holds what it is about to write: the
 * previous _PyCFrame at first, then the new frame, which is linked by then.
 */
#ifndef WORKBENCH_PYTHON_ENTRY_BPF_H
#define WORKBENCH_PYTHON_ENTRY_BPF_H

#include "python_data.bpf.h"

#define WB_PYTHON_C_STACK (8 << 20) /* the usual limit of a thread's stack (ulimit -s) */
#define WB_PYTHON_C_FRAME 4096      /* a shim lies as near to the _PyCFrame of its evaluation */
#define WB_PYTHON_STATE 1024        /* a thread state is smaller, its root_cframe lies in it */
#define WB_PYTHON_NO_FRAME (~0ULL)

/* Read a word, if it can be read. */
static __always_inline __u64 wb_python_try(__u64 address, __u64 otherwise)
{
	__u64 value;

	return bpf_probe_read_user(&value, sizeof(value), (void *)address) ? otherwise : value;
}

static __always_inline bool wb_python_is_frame(struct wb_python_process *p, __u64 frame)
{
	__u64 code = wb_python_try(frame + p->frame_code, 0);

	return code && wb_python_try(code + p->object_type, 0) == p->code_type;
}

/* Frame that the _PyCFrame before this one runs, as far as it can be read. */
static __always_inline __u64 wb_python_below(struct wb_python_process *p, __u64 cframe)
{
	__u64 previous = wb_python_try(cframe + p->indirect_frame + 8, 0);

	return wb_python_try(previous + p->indirect_frame, WB_PYTHON_NO_FRAME);
}

/* Whether `address` may be that of a _PyCFrame older than the newest one. */
static __always_inline bool wb_python_is_older(struct wb_python_scratch *s, __u64 than, __u64 address)
{
	return address - s->owner < WB_PYTHON_STATE ||
	       (address > than && address - than < WB_PYTHON_C_STACK);
}

/* Frame of the _PyCFrame at `address`, if one older than the newest lies there. */
static __always_inline __u64 wb_python_caller(struct wb_python_scratch *s, __u64 address)
{
	struct wb_python_process *p = &s->process;
	__u64 pair[2]; /* current_frame, previous */

	if (!wb_python_is_older(s, s->cframe, address) ||
	    bpf_probe_read_user(pair, sizeof(pair), (void *)(address + p->indirect_frame)))
		return WB_PYTHON_NO_FRAME;
	if (address - s->owner < WB_PYTHON_STATE) /* root_cframe: nothing ran */
		return pair[0] || pair[1] ? WB_PYTHON_NO_FRAME : 0;
	return wb_python_is_older(s, address, pair[1]) && wb_python_is_frame(p, pair[0])
		       ? pair[0]
		       : WB_PYTHON_NO_FRAME;
}

/* Whether `frame` is one that an evaluation has linked: entered from C, and with a caller. */
static __always_inline bool wb_python_is_linked(struct wb_python_scratch *s, __u64 frame)
{
	struct wb_python_process *p = &s->process;
	__u64 caller;

	if (!wb_python_is_frame(p, frame) ||
	    bpf_probe_read_user(s->block, sizeof(s->block), (void *)frame))
		return false;
	caller = WB_PYTHON_WORD(s->block, p->frame_previous);
	if (p->frame_entry)
		return WB_PYTHON_BYTE(s->block, p->frame_entry) == 1 &&
		       (!caller || wb_python_is_frame(p, caller));
	if (caller - s->cframe >= WB_PYTHON_C_FRAME ||
	    bpf_probe_read_user(s->block, sizeof(s->block), (void *)caller) ||
	    WB_PYTHON_BYTE(s->block, p->frame_owner) != p->owner_shim)
		return false;
	caller = WB_PYTHON_WORD(s->block, p->frame_previous);
	return !caller || wb_python_is_frame(p, caller);
}

/* Whether a register tells where the walk goes on; returns 1 when it does. */
static long wb_python_register_step(__u32 index, void *context)
{
	struct wb_python_scratch *s = *(struct wb_python_scratch **)context;
	__u64 value = s->registers[index & (WB_PYTHON_REGISTERS - 1)];

	if (index < WB_PYTHON_REGISTERS) {
		s->frame = wb_python_caller(s, value);
		return s->frame != WB_PYTHON_NO_FRAME;
	}
	if (!wb_python_is_linked(s, value))
		return 0;
	s->frame = value;
	s->linked = 1;
	return 1;
}

/* The chain of the newest _PyCFrame is not true, or cannot be read: take what the registers tell.
 * Returns 0 if they tell nothing. */
static __always_inline bool wb_python_reenter(struct wb_python_scratch *s)
{
	struct wb_python_scratch *context = s;
	__u64 frame = s->frame, caller = s->status ? s->below : WB_PYTHON_NO_FRAME;
	void *registers = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());

	s->linked = 0;
	s->frame = WB_PYTHON_NO_FRAME;
	/* struct pt_regs starts with the general ones, on both machines. */
	if (!bpf_probe_read_kernel(s->registers, sizeof(s->registers), registers))
		bpf_loop(2 * WB_PYTHON_REGISTERS, wb_python_register_step, &context, 0);
	if (s->frame == WB_PYTHON_NO_FRAME && wb_python_is_frame(&s->process, caller))
		s->frame = caller;
	s->cframe = 0;
	if (s->frame == WB_PYTHON_NO_FRAME) {
		s->frame = frame;
		return 0;
	}
	s->status = WB_PYTHON_COMPLETE;
	s->count = s->last;
	return 1;
}

#endif
