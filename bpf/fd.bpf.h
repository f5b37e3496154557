/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From the arguments of a system call to the file behind a descriptor. */
#ifndef WORKBENCH_FD_H
#define WORKBENCH_FD_H

#include "path.bpf.h"
#include "syscall.bpf.h"

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
