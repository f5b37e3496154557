// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* What programs do with files: system calls that open, close, read, write and sync, with the path
 * behind the descriptor; an event each, or sums for each process and file made in the kernel.
 * With WB_STACKS each event has its caller's stack: files_stacks.bpf.o.
 *
 * Not seen: memory-mapped files, io_uring, and 32-bit programs.
 */
#ifdef WB_STACKS
#include "stack.bpf.h"
#endif
#include "fd.bpf.h"
#include "aggregate.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 aggregate = 0; /* 1: sums in the kernel, no events */
const volatile __u32 regular = 0;   /* 1: only regular files and what could not be opened */
/* By system call number: operation and shape << 4; 0: not one of files. */
const volatile __u8 covered[512] = {};

/* What is done; event_texts.py has the same names. */
enum wb_file_op {
	WB_FILE_OTHER,
	WB_FILE_OPEN,
	WB_FILE_CLOSE,
	WB_FILE_READ,
	WB_FILE_WRITE,
	WB_FILE_SYNC,
};
enum wb_file_op *wb_enum_file_op __attribute__((unused));

/* What it is done to; event_texts.py has the same names. */
enum wb_file_type {
	WB_TYPE_NONE,
	WB_TYPE_REGULAR,
	WB_TYPE_DIRECTORY,
	WB_TYPE_CHARACTER,
	WB_TYPE_BLOCK,
	WB_TYPE_PIPE,
	WB_TYPE_SOCKET,
	WB_TYPE_OTHER,
};
enum wb_file_type *wb_enum_file_type __attribute__((unused));

/* Where a call has its arguments; workbench/kinds/files.py has the same order. */
enum wb_file_shape {
	WB_SHAPE_FD,        /* descriptor */
	WB_SHAPE_COUNT,     /* descriptor, buffer, count */
	WB_SHAPE_COUNT_AT,  /* descriptor, buffer, count, offset */
	WB_SHAPE_VECTOR,    /* descriptor, buffers, their number */
	WB_SHAPE_VECTOR_AT, /* descriptor, buffers, their number, offset */
	WB_SHAPE_PATH,      /* path */
	WB_SHAPE_PATH_AT,   /* directory, path */
	WB_SHAPE_SENDFILE,  /* to, from, offset, count */
	WB_SHAPE_COPY,      /* from, offset, to, offset, count */
};
enum wb_file_shape *wb_enum_file_shape __attribute__((unused));

typedef __s64 wb_offset;
typedef __s32 wb_fd;
typedef __u16 wb_file_op;
typedef __u16 wb_file_type;

struct files_event {
	wb_time_ns ts WB_DOC("entry into the system call, UTC");
	wb_duration_ns latency WB_DOC("time from entry to return");
	wb_retval ret WB_DOC("descriptor or bytes; -4095 to -1 is a negated errno");
	wb_bytes requested WB_DOC("bytes asked for; 0 where several buffers were given");
	wb_offset offset WB_DOC("where the descriptor stood, or where the call says; -1: not known, or there is no such place");
	wb_path path WB_DOC("path of the file; what was asked for, where it could not be opened; empty: no such descriptor");
	wb_pid pid WB_DOC("process (thread group) id");
	wb_tid tid WB_DOC("thread id");
	wb_fd fd WB_DOC("descriptor; -1: none");
	wb_syscall_nr nr WB_DOC("system call number");
	wb_cpu cpu WB_DOC("CPU on which the call returned");
	wb_file_op op WB_DOC("open, close, read, write, sync");
	wb_file_type type WB_DOC("none, regular, directory, character, block, pipe, socket, other");
#ifdef WB_STACKS
	WB_STACK_FIELDS;
#endif
};
WB_EVENT(files_event);

struct aggregate_key {
	wb_pid pid WB_DOC("process (thread group) id");
	wb_path_id path_id WB_DOC("number of the path in this recording; a path may have several");
};
WB_EVENT(aggregate_key);

struct aggregate_value {
	wb_count operations WB_DOC("calls that returned");
	wb_count errors WB_DOC("calls that returned an errno");
	wb_count opens WB_DOC("of them, calls that open");
	wb_count closes WB_DOC("calls that close");
	wb_count reads WB_DOC("calls that read");
	wb_count writes WB_DOC("calls that write");
	wb_count syncs WB_DOC("calls that sync");
	wb_bytes read_bytes WB_DOC("bytes that were read");
	wb_bytes written_bytes WB_DOC("bytes that were written");
	wb_duration_ns open_sum WB_DOC("time in calls that open");
	wb_duration_ns read_sum WB_DOC("time in calls that read");
	wb_duration_ns write_sum WB_DOC("time in calls that write");
	wb_duration_ns sync_sum WB_DOC("time in calls that sync");
	wb_count read_hist[HIST_SLOTS] WB_DOC("reads with a latency in [2^i, 2^(i+1)) ns");
	wb_count write_hist[HIST_SLOTS] WB_DOC("writes with a latency in [2^i, 2^(i+1)) ns");
	wb_count sync_hist[HIST_SLOTS] WB_DOC("syncs with a latency in [2^i, 2^(i+1)) ns");
	wb_path path WB_DOC("path of the file");
	wb_file_type type WB_DOC("none, regular, directory, character, block, pipe, socket, other");
	__u16 pad;
};
WB_EVENT(aggregate_value);

/* A descriptor, resolved. */
struct target {
	wb_path path;
	__s32 fd;
	__s64 offset;
	wb_file_type type;
	__u16 pad[3];
};

/* The call that a thread is in. Its descriptors are resolved at entry: close() lets go of them. */
struct call {
	__u64 ts, requested, name;
	struct target target, source; /* source: of calls that read one file and write another */
	__s32 directory;
	__u16 nr;
	__u8 what; /* 0: no call that is to be reported */
	__u8 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct call);
} calls SEC(".maps");

WB_AGGREGATES(16384, WB_ROOM_ON_DEMAND)

#define AT_FDCWD -100 /* include/uapi/linux/fcntl.h */

static __always_inline __u16 type_of(struct file *file)
{
	switch (BPF_CORE_READ(file, f_inode, i_mode) >> 12) { /* include/uapi/linux/stat.h */
	case 8:
		return WB_TYPE_REGULAR;
	case 4:
		return WB_TYPE_DIRECTORY;
	case 2:
		return WB_TYPE_CHARACTER;
	case 6:
		return WB_TYPE_BLOCK;
	case 1:
		return WB_TYPE_PIPE;
	case 12:
		return WB_TYPE_SOCKET;
	}
	return WB_TYPE_OTHER;
}

static __noinline int resolve(struct target *target, __s32 fd)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();
	struct file *file = wb_file_of(task, fd);

	if (!target)
		return 0;
	target->fd = fd;
	target->offset = -1;
	target->path = WB_PATH_NONE;
	target->type = WB_TYPE_NONE;
	if (!file)
		return 0;
	target->type = type_of(file);
	if (target->type == WB_TYPE_REGULAR || target->type == WB_TYPE_BLOCK)
		target->offset = BPF_CORE_READ(file, f_pos);
	if (!regular || target->type == WB_TYPE_REGULAR)
		target->path = wb_path_of(BPF_CORE_READ(file, f_path.dentry),
					  BPF_CORE_READ(file, f_path.mnt));
	return 0;
}

static __always_inline __u32 directory_of(struct task_struct *task, __s32 fd)
{
	struct task_struct___files *t = (void *)task;
	struct file *file;

	if (fd == AT_FDCWD)
		return wb_path_of(BPF_CORE_READ(t, fs, pwd.dentry), BPF_CORE_READ(t, fs, pwd.mnt));
	file = wb_file_of(task, fd);
	if (!file)
		return WB_PATH_NONE;
	return wb_path_of(BPF_CORE_READ(file, f_path.dentry), BPF_CORE_READ(file, f_path.mnt));
}

static __always_inline void at(struct target *target, __s64 offset)
{
	if (offset >= 0 && target->offset >= 0)
		target->offset = offset;
}

static __always_inline void begin(struct call *call, __u64 *args)
{
	__u8 shape = call->what >> 4;

	call->requested = 0;
	call->source.type = WB_TYPE_NONE;
	call->source.path = WB_PATH_NONE;
	if (shape == WB_SHAPE_PATH || shape == WB_SHAPE_PATH_AT) {
		call->directory = shape == WB_SHAPE_PATH ? AT_FDCWD : args[0];
		call->name = shape == WB_SHAPE_PATH ? args[0] : args[1];
		return;
	}
	resolve(&call->target, shape == WB_SHAPE_COPY ? args[2] : args[0]);
	if (shape == WB_SHAPE_COUNT || shape == WB_SHAPE_COUNT_AT)
		call->requested = args[2];
	if (shape == WB_SHAPE_COUNT_AT || shape == WB_SHAPE_VECTOR_AT)
		at(&call->target, args[3]);
	if (shape == WB_SHAPE_FD)
		call->target.offset = -1;
	if (shape == WB_SHAPE_SENDFILE || shape == WB_SHAPE_COPY) {
		resolve(&call->source, shape == WB_SHAPE_COPY ? args[0] : args[1]);
		call->requested = shape == WB_SHAPE_COPY ? args[4] : args[3];
		call->source.offset = call->target.offset = -1; /* they are behind pointers */
	}
}

static __always_inline void count(__u64 *field, __u64 *sum, __u64 *hist, struct files_event *e)
{
	__sync_fetch_and_add(field, 1);
	if (sum)
		__sync_fetch_and_add(sum, e->latency);
	if (hist)
		__sync_fetch_and_add(&hist[log2_slot(e->latency) & (HIST_SLOTS - 1)], 1);
}

static __always_inline void add(struct files_event *e)
{
	struct aggregate_key key = { .pid = e->pid, .path_id = e->path };
	__u64 moved = e->ret > 0 ? e->ret : 0;
	struct aggregate_value *v;
	bool is_new;

	v = aggregate_of(&key, &is_new);
	if (!v)
		return;
	if (is_new) {
		v->path = e->path;
		v->type = e->type;
	}
	WB_ADD(v, operations, 1);
	if (e->ret < 0)
		WB_ADD(v, errors, 1);
	if (e->op == WB_FILE_OPEN) {
		count(&v->opens, &v->open_sum, 0, e);
	} else if (e->op == WB_FILE_CLOSE) {
		count(&v->closes, 0, 0, e);
	} else if (e->op == WB_FILE_READ) {
		count(&v->reads, &v->read_sum, v->read_hist, e);
		WB_ADD(v, read_bytes, moved);
	} else if (e->op == WB_FILE_WRITE) {
		count(&v->writes, &v->write_sum, v->write_hist, e);
		WB_ADD(v, written_bytes, moved);
	} else if (e->op == WB_FILE_SYNC) {
		count(&v->syncs, &v->sync_sum, v->sync_hist, e);
	}
}

static __always_inline void fill(struct files_event *e, struct call *call, struct target *target,
				 __u16 op, __u64 now, long ret)
{
	__u64 id = bpf_get_current_pid_tgid();

	e->ts = call->ts;
	e->latency = now - call->ts;
	e->ret = ret;
	e->requested = call->requested;
	e->offset = target->offset;
	e->path = target->path;
	e->pid = id >> 32;
	e->tid = id;
	e->fd = target->fd;
	e->nr = call->nr;
	e->cpu = bpf_get_smp_processor_id();
	e->op = op;
	e->type = target->type;
}

#ifdef WB_STACKS
/* Programs on system call tracepoints are not preempted. */
WB_STACK_RECORD(files_event)

static __always_inline void send(void *ctx, struct call *call, struct target *target, __u16 op,
				 __u64 now, long ret)
{
	struct files_event *e = wb_stack_record();
	long bytes;

	if (!e)
		return;
	fill(e, call, target, op, now, ret);
	bytes = wb_stack(ctx, bpf_get_current_task_btf(), WB_STACK_HEAD(e), e->words,
			 WB_STACK_USER | WB_STACK_PYTHON);
	wb_output(ctx, e, sizeof(*e) + bytes);
}
#else
static __always_inline void send(void *ctx, struct call *call, struct target *target, __u16 op,
				 __u64 now, long ret)
{
	struct files_event e;

	fill(&e, call, target, op, now, ret);
	wb_output(ctx, &e, sizeof(e));
}
#endif

static __always_inline void sum(struct call *call, struct target *target, __u16 op, __u64 now,
				long ret)
{
	struct files_event e;

	fill(&e, call, target, op, now, ret);
	add(&e);
}

static __always_inline void report(void *ctx, struct call *call, struct target *target, __u16 op,
				   __u64 now, long ret)
{
	if (regular && target->type != WB_TYPE_REGULAR &&
	    (op != WB_FILE_OPEN || target->type != WB_TYPE_NONE))
		return;
	if (aggregate)
		sum(call, target, op, now, ret);
	else
		send(ctx, call, target, op, now, ret);
}

/* The file that was opened, or the name that could not be. */
static __always_inline void opened(struct call *call, long ret)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();

	resolve(&call->target, ret < 0 ? -1 : ret);
	if (ret < 0)
		call->target.path = wb_given_path((void *)call->name,
						  directory_of(task, call->directory));
	call->target.offset = -1;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(file_enter, struct pt_regs *regs, long id)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();
	__u32 nr = id;
	__u64 args[6];
	struct call *call;

	if (nr >= 512 || !covered[nr] || wb_selected(task->tgid) != WB_TARGET_ACTIVE ||
	    compat(task))
		return 0;
	call = bpf_task_storage_get(&calls, (void *)task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!call) {
		wb_lose(WB_DROP_MAP_FULL);
		return 0;
	}
	call->nr = nr;
	call->what = covered[nr];
	read_arguments(args, regs, 5);
	begin(call, args);
	call->ts = bpf_ktime_get_boot_ns();
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(file_exit, struct pt_regs *regs, long ret)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();
	__u64 now = bpf_ktime_get_boot_ns();
	__u32 nr = syscall_number(regs);
	struct call *call;
	__u8 op;

	if (nr >= 512 || !covered[nr])
		return 0;
	call = bpf_task_storage_get(&calls, (void *)task, 0, 0);
	if (!call || !call->what || call->nr != nr)
		return 0;
	op = call->what & 15;
	call->what = 0;
	if (op == WB_FILE_OPEN)
		opened(call, ret);
	if (op != WB_FILE_OTHER) {
		report(ctx, call, &call->target, op, now, ret);
	} else { /* it read one file and wrote another */
		report(ctx, call, &call->source, WB_FILE_READ, now, ret);
		report(ctx, call, &call->target, WB_FILE_WRITE, now, ret);
	}
	return 0;
}
