/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Frames of CPython 3.11 to 3.14, read from the memory of the task that runs.
 *
 *	long frames = wb_python_stack(task, words, WB_PYTHON_FRAMES);
 *
 * User space (workbench.pystacks) finds the interpreter of a process and where its fields lie, and
 * puts that into wb_python; a process that is not in there, nor was forked by one that is, has no
 * Python frames. Each frame gives two words, leaf first:
 *
 *	0  address of the code object
 *	1  bits 0-31 offset of the instruction from co_code_adaptive in bytes, signed (negative
 *	   before the first one); bit 32 entry: below this frame the chain returns to C; bit 33
 *	   hidden: not a frame to show; bits 34-63 fingerprint of the code object, which tells it
 *	   from an earlier one at the same address
 *
 * A hidden frame is an evaluation that has no frame yet (word 0 is 0, entry is set), or the last
 * one, which says why the chain ends there (word 0 is an enum wb_python_status).
 *
 * Code objects are announced once each in the ring wb_python_codes, with the same fingerprint.
 */
#ifndef WORKBENCH_PYTHON_BPF_H
#define WORKBENCH_PYTHON_BPF_H

#include "python_code.bpf.h"
#include "python_thread.bpf.h"

static __always_inline void wb_python_emit(struct wb_python_scratch *s, __u64 code, __u64 word)
{
	__u32 at = s->count;

	if (at >= s->room || at > WB_PYTHON_FRAMES - 1) {
		s->status = WB_PYTHON_TRUNCATED;
		return;
	}
	s->words[2 * at] = code;
	s->words[2 * at + 1] = word;
	s->count = at + 1;
}

/* A shim lies where the evaluation of the frames above it was entered from C. */
static __always_inline void wb_python_shim(struct wb_python_scratch *s)
{
	__u32 at = s->count - 1;

	if (s->count > s->last) {
		if (at < WB_PYTHON_FRAMES)
			s->words[2 * at + 1] |= WB_PYTHON_ENTRY;
	} else if (!s->count) { /* entered just now, no frame yet */
		wb_python_emit(s, 0, WB_PYTHON_ENTRY | WB_PYTHON_HIDDEN);
	}
	s->last = s->count;
}

/* One Python frame; returns 1 at the end. */
static long wb_python_frame_step(__u32 index, void *context)
{
	struct wb_python_scratch *s = *(struct wb_python_scratch **)context;
	struct wb_python_process *p = &s->process;
	struct wb_python_key key = {};
	__u64 instruction, word, hash;
	__u32 at;
	__u8 owner;

	if (!s->frame) {
		if (s->count > s->last) /* what runs another interpreter was entered from C */
			wb_python_shim(s);
		at = s->state_next;
		if (at >= s->state_count || at >= WB_PYTHON_STATES)
			return 1;
		s->frame = s->states[at];
		s->state_next = at + 1;
	}
	if (wb_python_block(s, s->block, s->frame, p->frame_bytes))
		return 1;
	s->frame = WB_PYTHON_WORD(s->block, p->frame_previous);
	owner = WB_PYTHON_BYTE(s->block, p->frame_owner);
	if (owner >= p->owner_shim) {
		wb_python_shim(s);
		return 0;
	}
	key.code = WB_PYTHON_WORD(s->block, p->frame_code) & ~p->tag;
	key.pid = s->pid;
	instruction = WB_PYTHON_WORD(s->block, p->frame_instruction);
	word = p->frame_entry && WB_PYTHON_BYTE(s->block, p->frame_entry) ? WB_PYTHON_ENTRY : 0;
	if (wb_python_block(s, s->code, key.code, p->code_bytes))
		return 1;
	if (WB_PYTHON_WORD(s->code, p->object_type) != p->code_type) {
		s->status = WB_PYTHON_BAD_CODE;
		return 1;
	}
	if (wb_python_internal(s))
		return 0;
	key.fingerprint = wb_python_fingerprint(s);
	word |= (__u64)key.fingerprint << WB_PYTHON_FINGERPRINT;
	word |= (__u32)(instruction - key.code - p->code_bytes);
	wb_python_emit(s, key.code, word);
	if (word & WB_PYTHON_ENTRY)
		s->last = s->count;
	if (s->status != WB_PYTHON_COMPLETE)
		return 1;
	hash = wb_python_mix(wb_python_mix(key.code, key.pid), key.fingerprint);
	at = hash & (WB_PYTHON_SEEN - 1);
	if (s->seen[at] == hash)
		return 0;
	if (!bpf_map_lookup_elem(&wb_python_announced, &key))
		wb_python_announce(s, &key);
	else
		s->seen[at] = hash;
	return 0;
}

/* Scratch space that no interrupted program of this CPU uses. */
static __always_inline struct wb_python_scratch *wb_python_claim(void)
{
	struct wb_python_scratch *s;

	for (__u32 level = 0; level < WB_PYTHON_NESTING; level++) {
		__u32 index = level;

		s = bpf_map_lookup_elem(&wb_python_scratch, &index);
		if (!s)
			return NULL;
		if (!__sync_val_compare_and_swap(&s->busy, 0, 1))
			return s;
	}
	return NULL;
}

static __always_inline void wb_python_walk(struct wb_python_scratch *s, struct task_struct *task)
{
	struct wb_python_process *p = &s->process;
	struct wb_python_scratch *context = s;

	s->status = WB_PYTHON_COMPLETE;
	s->count = s->last = s->state_count = s->state_next = 0;
	s->thread = s->frame = 0;
	s->key = wb_python_thread(task);
	s->interpreter = wb_python_read(s, p->runtime + p->runtime_interpreter);
	if (wb_python_again(s)) {
		wb_python_matched(s);
	} else {
		s->status = WB_PYTHON_COMPLETE;
		bpf_loop(WB_PYTHON_STEPS, wb_python_thread_step, &context, 0);
		if (!s->last && !s->state_count && s->status == WB_PYTHON_COMPLETE)
			s->status = WB_PYTHON_MANY_THREADS;
	}
	s->last = 0;
	if (s->status == WB_PYTHON_COMPLETE)
		bpf_loop(8 * WB_PYTHON_FRAMES, wb_python_frame_step, &context, 0);
	if (s->status == WB_PYTHON_COMPLETE)
		return;
	if (s->count >= s->room && s->count)
		s->count--;
	if (s->count < WB_PYTHON_FRAMES) {
		s->words[2 * s->count] = s->status;
		s->words[2 * s->count + 1] = WB_PYTHON_HIDDEN;
		s->count++;
	}
}

/* Python frames of the running task into `words`, two each, at most `max_frames`.
 *
 * `task` must be the current one: its memory is read. Returns the number of frames; 0 in a process
 * without Python, in a thread without Python frames, and on kernels without bpf_loop (5.17).
 */
static long wb_python_stack(struct task_struct *task, __u64 *words, __u32 max_frames)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct wb_python_process *process;
	struct wb_python_scratch *s;
	__u32 bytes;

	if (!bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_loop))
		return 0;
	process = bpf_map_lookup_elem(&wb_python, &tgid);
	if (!process)
		process = wb_python_inherited(task);
	if (!process || !max_frames)
		return 0;
	s = wb_python_claim();
	if (!s) {
		words[0] = WB_PYTHON_BUSY;
		words[1] = WB_PYTHON_HIDDEN;
		return 1;
	}
	s->pid = tgid;
	s->room = max_frames;
	s->process = *process;
	wb_python_walk(s, task);
	bytes = s->count * 2 * sizeof(__u64);
	if (bytes > max_frames * 2 * sizeof(__u64) ||
	    bpf_probe_read_kernel(words, bytes, s->words))
		bytes = 0;
	s->busy = 0;
	return bytes / (2 * sizeof(__u64));
}

#endif
