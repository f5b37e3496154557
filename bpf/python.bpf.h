/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Frames of CPython 3.11 to 3.14, read from the memory of the task that runs.
 *
 *	long frames = wb_python_stack(task, words, WB_PYTHON_FRAMES);
 *
 * User space (workbench.pystacks) finds the interpreter of a process and where its fields lie, and
 * puts that into wb_python; a process that is not in there has no Python frames. Each frame gives
 * two words, leaf first:
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
 * CPython's sources: Include/internal/pycore_frame.h (3.14: pycore_interpframe_structs.h),
 * Include/cpython/{pystate,code,unicodeobject}.h, Include/internal/pycore_runtime.h.
 */
#ifndef WORKBENCH_PYTHON_BPF_H
#define WORKBENCH_PYTHON_BPF_H

#include "workbench.bpf.h"

#define WB_PYTHON_FRAMES 127
#define WB_PYTHON_STEPS 4096 /* thread states and interpreters that are looked at */
#define WB_PYTHON_STATES 4   /* thread states of one thread: one an interpreter */
#define WB_PYTHON_ENTRY (1ULL << 32)
#define WB_PYTHON_HIDDEN (1ULL << 33)
#define WB_PYTHON_FINGERPRINT 34

enum wb_python_status {
	WB_PYTHON_COMPLETE,
	WB_PYTHON_TRUNCATED,	/* more frames than there is room for */
	WB_PYTHON_READ_FAULT,	/* memory that is not there, or not at the moment */
	WB_PYTHON_BAD_CODE,	/* what a frame runs is no code object: not the layout as expected */
	WB_PYTHON_MANY_THREADS, /* not among the first WB_PYTHON_STEPS thread states */
	WB_PYTHON_BUSY,		/* interrupted programs hold all scratch space of this CPU */
};
enum wb_python_status *wb_enum_python_status __attribute__((unused));

/* One process. Offsets in bytes; what is read as a block lies within its first *_bytes. */
struct wb_python_process {
	__u64 runtime;		  /* address of _PyRuntime */
	__u64 code_type;	  /* address of PyCode_Type */
	__u64 tag;		  /* bits of a frame's executable that are no address */
	__u32 runtime_interpreter; /* in _PyRuntime: first interpreter */
	__u32 interpreter_next;
	__u32 interpreter_thread; /* first thread state */
	__u32 thread_bytes;
	__u32 thread_previous;
	__u32 thread_next;
	__u32 thread_interpreter;
	__u32 thread_key; /* thread_id, or native_thread_id where WB_PYTHON_BY_TID */
	__u32 thread_frame;
	__u32 thread_status;	/* word that holds `thread_active`, from 3.12 */
	__u32 thread_active;	/* mask, 0: not known */
	__u32 indirect;		/* 3.11, 3.12: thread_frame points to a _PyCFrame */
	__u32 indirect_frame;	/* current_frame in it */
	__u32 frame_bytes;
	__u32 frame_code;
	__u32 frame_previous;
	__u32 frame_instruction;
	__u32 frame_owner;
	__u32 frame_entry;	/* 3.11: is_entry; 0: shim frames mark entries */
	__u32 owner_shim;	/* least owner that is no Python frame */
	__u32 code_bytes;	/* = offset of co_code_adaptive */
	__u32 object_type;
	__u32 object_size;	/* ob_size */
	__u32 code_file;
	__u32 code_name;
	__u32 code_lines;
	__u32 code_first_line;
	__u32 code_version;	/* word that holds co_version, from 3.12 */
	__u32 bytes_data;	/* ob_sval */
	__u32 text_length;
	__u32 text_state;
	__u32 text_kind; /* first bit of kind in state; compact and ascii follow its three bits */
	__u32 text_ascii;	/* sizeof(PyASCIIObject) */
	__u32 text_compact;	/* sizeof(PyCompactUnicodeObject) */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32); /* tgid */
	__type(value, struct wb_python_process);
} wb_python SEC(".maps");

#define WB_PYTHON_NAME 512
#define WB_PYTHON_FILE 1024
#define WB_PYTHON_LINES 2048

/* A code object. `data` is the name, the file and the line table in a row: what fitted of them. */
struct wb_python_code {
	__u64 code;
	__u64 lines; /* address of the line table */
	__u32 pid;
	__u32 fingerprint;
	__s32 first_line;
	__u32 lines_size;
	__u32 name_length; /* in characters, of the whole */
	__u32 file_length;
	__u16 name_bytes;
	__u16 file_bytes;
	__u16 lines_bytes;
	__u8 name_kind; /* bytes of a character: 1 (Latin-1), 2, 4; 0 where it could not be read */
	__u8 file_kind;
	__u8 data[];
};
struct wb_python_code *wb_struct_python_code __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} wb_python_codes SEC(".maps");

struct wb_python_key {
	__u64 code;
	__u32 pid;
	__u32 fingerprint;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct wb_python_key);
	__type(value, __u8);
} wb_python_announced SEC(".maps");

#define WB_PYTHON_SEEN 512
#define WB_PYTHON_THREADS 64

/* Where the thread state of a thread was found last. */
struct wb_python_found {
	__u64 hash;
	__u64 thread;
};

struct wb_python_scratch {
	__u32 busy;
	__u32 pid;
	struct wb_python_process process;
	__u64 key; /* what identifies the thread in its thread states */
	__u64 interpreter, thread, frame;
	__u64 states[WB_PYTHON_STATES]; /* frames that the thread's states run */
	__u32 state_count, state_next;
	__u32 count, room, status, last; /* last: frames up to the last entry */
	__u64 block[32]; /* thread state or frame */
	__u64 code[32];
	struct wb_python_found found[WB_PYTHON_THREADS];
	__u64 seen[WB_PYTHON_SEEN]; /* announced lately: spares the look-up in the hash */
	__u64 words[2 * (WB_PYTHON_FRAMES + 1)];
	union {
		struct wb_python_code record;
		__u8 space[sizeof(struct wb_python_code) + WB_PYTHON_NAME + WB_PYTHON_FILE +
			   WB_PYTHON_LINES];
	};
};

/* Programs interrupt each other on one CPU, those of one object too. */
#define WB_PYTHON_NESTING 3

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WB_PYTHON_NESTING);
	__type(key, __u32);
	__type(value, struct wb_python_scratch);
} wb_python_scratch SEC(".maps");

/* Fields of the task that name its thread; the suffix behind ___ is not part of the name. */
#ifdef __TARGET_ARCH_arm64
struct upid___python {
	int nr;
} __attribute__((preserve_access_index));

struct pid___python {
	unsigned int level;
	struct upid___python numbers[1];
} __attribute__((preserve_access_index));

struct task_struct___python {
	struct pid___python *thread_pid;
} __attribute__((preserve_access_index));

/* Thread id in the innermost pid namespace, as gettid() in it returns (native_thread_id). */
static __always_inline __u64 wb_python_thread(struct task_struct *task)
{
	struct pid___python *pid = BPF_CORE_READ((struct task_struct___python *)task, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);
	void *number = (void *)pid + bpf_core_field_offset(struct pid___python, numbers);
	int nr = 0;

	number += (level & 31) * bpf_core_type_size(struct upid___python);
	bpf_probe_read_kernel(&nr, sizeof(nr), number);
	return (__u32)nr;
}
#else
struct thread_struct___python {
	unsigned long fsbase;
} __attribute__((preserve_access_index));

struct task_struct___python {
	struct thread_struct___python thread;
} __attribute__((preserve_access_index));

/* The thread pointer: what pthread_self() returns on x86-64, with glibc and musl (thread_id). */
static __always_inline __u64 wb_python_thread(struct task_struct *task)
{
	return BPF_CORE_READ((struct task_struct___python *)task, thread.fsbase);
}
#endif

static __always_inline __u64 wb_python_read(struct wb_python_scratch *s, __u64 address)
{
	__u64 value = 0;

	if (bpf_probe_read_user(&value, sizeof(value), (void *)address))
		s->status = WB_PYTHON_READ_FAULT;
	return value;
}

/* Word of a block that lies `offset` bytes behind its start. */
#define WB_PYTHON_WORD(block, offset) ((block)[((offset) >> 3) & 31])
#define WB_PYTHON_BYTE(block, offset) (((__u8 *)(block))[(offset) & 255])

static __always_inline long wb_python_block(struct wb_python_scratch *s, __u64 *block,
					    __u64 address, __u32 size)
{
	if (size > sizeof(s->block))
		size = sizeof(s->block);
	if (!bpf_probe_read_user(block, size, (void *)address))
		return 0;
	s->status = WB_PYTHON_READ_FAULT;
	return 1;
}

/* Remember the frame of a thread state of this thread. The one that is active goes first: it
 * runs, the others wait for a call that led to another interpreter. Lists start with the newest. */
static __always_inline void wb_python_remember(struct wb_python_scratch *s, __u64 frame, bool active)
{
	__u32 at = s->state_count;

	if (!frame || at >= WB_PYTHON_STATES)
		return;
	s->states[at & (WB_PYTHON_STATES - 1)] = frame;
	s->state_count = at + 1;
	for (int i = WB_PYTHON_STATES - 1; active && i > 0; i--) {
		if (i > at)
			continue;
		s->states[i] = s->states[i - 1];
		s->states[i - 1] = frame;
	}
}

static __always_inline __u64 wb_python_mix(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL; /* 2^64 / golden ratio */
	return hash ^ hash >> 29;
}

static __always_inline struct wb_python_found *wb_python_slot(struct wb_python_scratch *s)
{
	__u64 hash = wb_python_mix(s->key, s->pid);
	struct wb_python_found *found = &s->found[hash & (WB_PYTHON_THREADS - 1)];

	if (found->hash != hash) {
		found->hash = hash;
		found->thread = 0;
	}
	return found;
}

/* Remember the frame that the thread state in s->block runs. */
static __always_inline void wb_python_matched(struct wb_python_scratch *s)
{
	struct wb_python_process *p = &s->process;
	__u64 frame = WB_PYTHON_WORD(s->block, p->thread_frame);

	if (p->indirect && frame)
		frame = wb_python_read(s, frame + p->indirect_frame);
	wb_python_remember(s, frame,
			   WB_PYTHON_WORD(s->block, p->thread_status) & p->thread_active);
}

/* Take the thread state that was found last time, if it still is the thread's and the only one:
 * a list of hundreds of threads takes 110 ns for each. One that was freed is not linked any more,
 * as its neighbours change when it is taken out (Python/pystate.c, tstate_delete_common). */
static __always_inline bool wb_python_again(struct wb_python_scratch *s)
{
	struct wb_python_process *p = &s->process;
	__u64 thread = wb_python_slot(s)->thread, previous, interpreter;

	if (!thread || wb_python_block(s, s->block, thread, p->thread_bytes))
		return false;
	previous = WB_PYTHON_WORD(s->block, p->thread_previous);
	interpreter = WB_PYTHON_WORD(s->block, p->thread_interpreter);
	previous = previous ? previous + p->thread_next : interpreter + p->interpreter_thread;
	return WB_PYTHON_WORD(s->block, p->thread_key) == s->key && s->interpreter == interpreter &&
	       wb_python_read(s, previous) == thread &&
	       !wb_python_read(s, interpreter + p->interpreter_next) &&
	       s->status == WB_PYTHON_COMPLETE;
}

/* One step over the interpreters and their thread states; returns 1 at the end. */
static long wb_python_thread_step(__u32 index, void *context)
{
	struct wb_python_scratch *s = *(struct wb_python_scratch **)context;
	struct wb_python_process *p = &s->process;

	if (!s->thread) {
		if (!s->interpreter) {
			s->last = 1; /* seen all */
			return 1;
		}
		s->thread = wb_python_read(s, s->interpreter + p->interpreter_thread);
		s->interpreter = wb_python_read(s, s->interpreter + p->interpreter_next);
		return s->status != WB_PYTHON_COMPLETE;
	}
	if (wb_python_block(s, s->block, s->thread, p->thread_bytes))
		return 1;
	if (WB_PYTHON_WORD(s->block, p->thread_key) != s->key) {
		s->thread = WB_PYTHON_WORD(s->block, p->thread_next);
		return 0;
	}
	wb_python_slot(s)->thread = s->thread;
	s->thread = 0; /* an interpreter has one state a thread */
	wb_python_matched(s);
	return s->status != WB_PYTHON_COMPLETE;
}

static __always_inline __s32 wb_python_first_line(struct wb_python_scratch *s)
{
	__u32 at = s->process.code_first_line;

	return WB_PYTHON_WORD(s->code, at) >> (at & 4 ? 32 : 0);
}

/* Code that the interpreter made for itself, and shows nowhere: _Py_InitCleanup, which runs below
 * a specialised __init__ (Python/specialize.c), has no name in 3.12; in 3.13 and 3.14 one string
 * is its name and its file, and it has no line. */
static __always_inline bool wb_python_internal(struct wb_python_scratch *s)
{
	__u64 name = WB_PYTHON_WORD(s->code, s->process.code_name);

	return !name || (name == WB_PYTHON_WORD(s->code, s->process.code_file) &&
			 !wb_python_first_line(s));
}

/* Copy a str behind the first `at` bytes of the record's data; returns its bytes there. */
static __always_inline __u32 wb_python_text(struct wb_python_scratch *s, __u64 text, __u32 at,
					    __u32 limit, __u32 *length, __u8 *kind)
{
	struct wb_python_process *p = &s->process;
	__u64 bytes, *head = s->block;
	__u32 state, shift = p->text_kind & 31;

	*length = 0;
	*kind = 0;
	if (!text || wb_python_block(s, head, text, p->text_ascii))
		return 0;
	state = WB_PYTHON_WORD(head, p->text_state);
	bytes = WB_PYTHON_WORD(head, p->text_length);
	if (!(state >> shift & 8)) /* not compact: the text lies elsewhere */
		return 0;
	*length = bytes;
	*kind = state >> shift & 7;
	text += state >> shift & 16 ? p->text_ascii : p->text_compact;
	bytes = (bytes & 0xffffffff) * *kind;
	if (bytes > limit)
		bytes = limit;
	if (at > WB_PYTHON_NAME ||
	    bpf_probe_read_user(s->record.data + at, bytes, (void *)text)) {
		*kind = 0;
		return 0;
	}
	return bytes;
}

/* Send names and lines of the code object in s->code. What cannot be read (a page that is not
 * in memory) is sent empty: user space, for which the page is fetched, reads it again. */
static __always_inline void wb_python_announce(struct wb_python_scratch *s,
					       struct wb_python_key *key)
{
	struct wb_python_process *p = &s->process;
	struct wb_python_code *r = &s->record;
	__u64 lines = WB_PYTHON_WORD(s->code, p->code_lines), size;
	__u32 at;
	__u8 one = 1;

	r->code = key->code;
	r->pid = key->pid;
	r->fingerprint = key->fingerprint;
	r->first_line = wb_python_first_line(s);
	at = r->name_bytes = wb_python_text(s, WB_PYTHON_WORD(s->code, p->code_name), 0,
					    WB_PYTHON_NAME, &r->name_length, &r->name_kind);
	at += r->file_bytes = wb_python_text(s, WB_PYTHON_WORD(s->code, p->code_file), at,
					     WB_PYTHON_FILE, &r->file_length, &r->file_kind);
	r->lines = lines + p->bytes_data;
	r->lines_size = size = wb_python_read(s, lines + p->object_size);
	if (size > WB_PYTHON_LINES)
		size = WB_PYTHON_LINES;
	if (at > WB_PYTHON_NAME + WB_PYTHON_FILE)
		return;
	if (bpf_probe_read_user(r->data + at, size, (void *)r->lines))
		size = 0;
	r->lines_bytes = size;
	s->status = WB_PYTHON_COMPLETE;
	at += size;
	if (at > WB_PYTHON_NAME + WB_PYTHON_FILE + WB_PYTHON_LINES)
		return;
	if (!bpf_ringbuf_output(&wb_python_codes, r, sizeof(*r) + at, BPF_RB_NO_WAKEUP))
		bpf_map_update_elem(&wb_python_announced, key, &one, BPF_ANY);
}

/* Fingerprint of the code object in s->code, of fields that never change. From 3.12 on
 * co_version is one of them, which no other code object has. */
static __always_inline __u32 wb_python_fingerprint(struct wb_python_scratch *s)
{
	struct wb_python_process *p = &s->process;
	__u64 hash = WB_PYTHON_WORD(s->code, p->object_size);

	hash = wb_python_mix(hash, WB_PYTHON_WORD(s->code, p->object_size + 8)); /* co_consts */
	hash = wb_python_mix(hash, WB_PYTHON_WORD(s->code, p->object_size + 16)); /* co_names */
	hash = wb_python_mix(hash, WB_PYTHON_WORD(s->code, p->code_version));
	hash = wb_python_mix(hash, WB_PYTHON_WORD(s->code, p->code_first_line));
	hash = wb_python_mix(hash, WB_PYTHON_WORD(s->code, p->code_file));
	hash = wb_python_mix(hash, WB_PYTHON_WORD(s->code, p->code_name));
	hash = wb_python_mix(hash, WB_PYTHON_WORD(s->code, p->code_lines));
	return hash >> WB_PYTHON_FINGERPRINT;
}

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
