/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From the arguments of a system call to the file behind a descriptor. */
#ifndef WORKBENCH_FD_H
#define WORKBENCH_FD_H

#include "path.bpf.h"

struct inode___file {
	unsigned short i_mode;
} __attribute__((preserve_access_index));

struct file {
	struct path f_path;
	struct inode___file *f_inode;
	long long f_pos;
} __attribute__((preserve_access_index));

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
} __attribute__((preserve_access_index));

struct files_struct {
	struct fdtable *fdt;
} __attribute__((preserve_access_index));

struct fs_struct {
	struct path pwd;
} __attribute__((preserve_access_index));

struct task_struct___files {
	struct files_struct *files;
	struct fs_struct *fs;
} __attribute__((preserve_access_index));

/* Registers of both architectures; CO-RE keeps the branch of the running kernel. */
struct pt_regs___x86 {
	unsigned long di, si, dx, r10, r8, orig_ax;
} __attribute__((preserve_access_index));

struct pt_regs___arm64 {
	__u64 regs[31];
	__u64 orig_x0;
	__s32 syscallno;
} __attribute__((preserve_access_index));

static __always_inline void wb_read_args(__u64 *args, void *regs)
{
	struct pt_regs___x86 *x86 = regs;
	struct pt_regs___arm64 *arm64 = regs;

	if (bpf_core_field_exists(x86->orig_ax)) {
		args[0] = x86->di;
		args[1] = x86->si;
		args[2] = x86->dx;
		args[3] = x86->r10;
		args[4] = x86->r8;
	} else if (bpf_core_field_exists(arm64->orig_x0)) {
		args[0] = arm64->orig_x0;
		args[1] = arm64->regs[1];
		args[2] = arm64->regs[2];
		args[3] = arm64->regs[3];
		args[4] = arm64->regs[4];
	}
}

static __always_inline __u32 wb_number_of_call(void *regs)
{
	struct pt_regs___x86 *x86 = regs;
	struct pt_regs___arm64 *arm64 = regs;

	if (bpf_core_field_exists(x86->orig_ax))
		return x86->orig_ax;
	if (bpf_core_field_exists(arm64->syscallno))
		return arm64->syscallno;
	return ~0U;
}

static __always_inline struct file *wb_file_of(struct task_struct *task, __s32 fd)
{
	struct task_struct___files *t = (void *)task;
	struct fdtable *table = BPF_CORE_READ(t, files, fdt);
	struct file **files, *file = 0;

	if (fd < 0 || !table || (__u32)fd >= BPF_CORE_READ(table, max_fds))
		return 0;
	files = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file;
}

#endif
