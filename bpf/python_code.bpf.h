/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Code objects: told from each other by fingerprints, and announced once to user space. */
#ifndef WORKBENCH_PYTHON_CODE_BPF_H
#define WORKBENCH_PYTHON_CODE_BPF_H

#include "python_data.bpf.h"

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

#endif
