/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What python*.bpf.h share: what user space tells of a process and learns of its code objects, the
 * scratch space of a walk, and reads of the process's memory.
 *
 * CPython's sources: Include/internal/pycore_frame.h (3.14: pycore_interpframe_structs.h),
 * Include/cpython/{pystate,code,unicodeobject}.h, Include/internal/pycore_runtime.h.
 */
#ifndef WORKBENCH_PYTHON_DATA_BPF_H
#define WORKBENCH_PYTHON_DATA_BPF_H

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
	__u32 indirect_frame;	/* current_frame in it; previous follows */
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

/* General registers that are looked at. */
#ifdef __TARGET_ARCH_arm64
#define WB_PYTHON_REGISTERS 32 /* x0 to x30, sp */
#else
#define WB_PYTHON_REGISTERS 16 /* r15 to rdi, orig_rax */
#endif

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
	__u64 cframes[WB_PYTHON_STATES]; /* their newest _PyCFrame, where there are such */
	__u64 owner;  /* thread state that was found last */
	__u64 cframe; /* of the chain that is walked, until that has proven true */
	__u64 below;  /* frame that its first entry leads to then */
	__u64 linked; /* the registers told a frame, not a caller's */
	__u64 registers[WB_PYTHON_REGISTERS];
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

static __always_inline __u64 wb_python_mix(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL; /* 2^64 / golden ratio */
	return hash ^ hash >> 29;
}

#endif
