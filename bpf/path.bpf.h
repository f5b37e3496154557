/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Paths of files as numbers: events carry a number, and each path is told once.
 *
 * A path has its number by the directory entry, the mount and what the entry is called, so that a
 * renamed file gets another one. The first event that needs a path puts its text into wb_paths,
 * where the recorder takes it out. Renaming a directory above a file does not show in numbers that
 * are known already. Kernel sources: fs/d_path.c, prepend_path().
 */
#ifndef WORKBENCH_PATH_H
#define WORKBENCH_PATH_H

#include "workbench.bpf.h"

#define WB_PATH_NONE 0U     /* there is no file */
#define WB_PATH_UNKNOWN ~0U /* its path could not be told */

#define WB_PATH_TEXT 3968 /* an entry of wb_paths is one page with it */
#define WB_NAME_SIZE 256  /* NAME_MAX and a NUL, include/uapi/linux/limits.h */
#define WB_PATH_DEPTH 64  /* directories and mounts of a path that are walked */

typedef __u32 wb_path;
typedef __u32 wb_path_id;

/* What the text of a path is; workbench/recorder/paths.py has the same names. */
enum wb_path_form {
	WB_PATH_MOUNTED, /* names from the file up to the root of all mounts */
	WB_PATH_INSIDE,  /* names from the file up to the root of its file system */
	WB_PATH_PSEUDO,  /* the name of something that is in no directory */
	WB_PATH_GIVEN,   /* what the program asked for and did not get */
};
enum wb_path_form *wb_enum_path_form __attribute__((unused));

struct wb_path_text {
	__u64 ino;
	__u32 device; /* of the file system, or the disk itself: major << 20 | minor */
	__u32 base;   /* of a given name: number of the directory that it starts from, or 0 */
	__u32 size;   /* bytes of text: names that end in NUL, the last one of the path first */
	__u16 form;
	__u16 cut;      /* 1: the first directories of the path are missing */
	char type[16]; /* of the file system */
	char text[WB_PATH_TEXT];
};
WB_EVENT(wb_path_text);

struct wb_path_key {
	__u64 dentry, mount, parent, name, ino;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct wb_path_text);
} wb_paths SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct wb_path_key);
	__type(value, __u32);
} wb_path_numbers SEC(".maps");

struct wb_path_room {
	__u64 busy; /* a program may interrupt another one */
	struct wb_path_text path;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct wb_path_room);
} wb_path_rooms SEC(".maps");

__u32 wb_path_count;

struct qstr {
	unsigned long long hash_len;
	const unsigned char *name;
} __attribute__((preserve_access_index));

struct file_system_type {
	const char *name;
} __attribute__((preserve_access_index));

struct dentry;

struct super_block {
	unsigned int s_dev;
	struct dentry *s_root;
	struct file_system_type *s_type;
} __attribute__((preserve_access_index));

struct inode___path {
	unsigned long i_ino;
	unsigned int i_rdev;
	struct super_block *i_sb;
} __attribute__((preserve_access_index));

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode___path *d_inode;
	struct super_block *d_sb;
} __attribute__((preserve_access_index));

struct vfsmount {
	struct dentry *mnt_root;
} __attribute__((preserve_access_index));

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
} __attribute__((preserve_access_index));

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
} __attribute__((preserve_access_index));

static __always_inline struct wb_path_room *wb_take_room(void)
{
	__u32 zero = 0;
	struct wb_path_room *room = bpf_map_lookup_elem(&wb_path_rooms, &zero);

	return room && !__sync_val_compare_and_swap(&room->busy, 0, 1) ? room : 0;
}

static __always_inline void wb_leave_room(struct wb_path_room *room)
{
	__sync_val_compare_and_swap(&room->busy, 1, 0);
}

/* Add a name to the text; false: there is no more room. The size is read from memory each time, so
 * that the verifier need not tell one round of the walk from the next. */
static __always_inline bool wb_add_name(struct wb_path_text *path, struct dentry *dentry)
{
	__u32 size = path->size;
	long bytes;

	if (size > WB_PATH_TEXT - WB_NAME_SIZE)
		return false;
	bytes = bpf_probe_read_kernel_str(path->text + size, WB_NAME_SIZE,
					  BPF_CORE_READ(dentry, d_name.name));
	if (bytes <= 0 || bytes > WB_NAME_SIZE)
		return false;
	path->size = size + bytes;
	return true;
}

/* Names from a file up to the root of its mount, and of the mounts that this one lies in; without
 * a mount, up to the root of the file system. */
static __always_inline void wb_walk_up(struct wb_path_text *path, struct dentry *dentry,
				       struct vfsmount *mnt)
{
	path->cut = 1;
	for (int i = 0; i < WB_PATH_DEPTH; i++) {
		struct dentry *parent = BPF_CORE_READ(dentry, d_parent);

		if (dentry == parent || (mnt && dentry == BPF_CORE_READ(mnt, mnt_root))) {
			struct mount *mount, *above = 0;

			if (mnt) {
				mount = (void *)mnt - bpf_core_field_offset(struct mount, mnt);
				above = BPF_CORE_READ(mount, mnt_parent);
			}
			if (!above || above == mount) {
				path->cut = 0;
				return;
			}
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mnt = (void *)above + bpf_core_field_offset(struct mount, mnt);
			continue;
		}
		if (!wb_add_name(path, dentry))
			return;
		dentry = parent;
	}
}

/* Hand a text over under a number; the caller holds the room. */
static __always_inline __u32 wb_hand_over(struct wb_path_room *room, struct wb_path_key *key)
{
	__u32 id = __sync_fetch_and_add(&wb_path_count, 1) + 1;

	if (bpf_map_update_elem(&wb_paths, &id, &room->path, BPF_ANY))
		id = WB_PATH_UNKNOWN; /* the recorder is behind: told when it is met again */
	else
		bpf_map_update_elem(&wb_path_numbers, key, &id, BPF_ANY);
	if (!(id & 1023)) /* have the recorder make room */
		wb_cpu_stats()->unannounced = wb_watermark;
	return id;
}

static __noinline __u32 wb_new_path(struct wb_path_key *key)
{
	struct wb_path_room *room = wb_take_room();
	struct dentry *dentry, *root;
	struct vfsmount *mnt;
	struct super_block *sb;
	__u32 id, rdev;

	if (!room || !key)
		return WB_PATH_UNKNOWN;
	dentry = (void *)key->dentry;
	mnt = (void *)key->mount;
	sb = BPF_CORE_READ(dentry, d_sb);
	room->path.ino = key->ino;
	room->path.device = BPF_CORE_READ(sb, s_dev);
	room->path.base = room->path.size = room->path.cut = 0;
	room->path.form = mnt ? WB_PATH_MOUNTED : WB_PATH_INSIDE;
	bpf_probe_read_kernel_str(room->path.type, sizeof(room->path.type),
				  BPF_CORE_READ(sb, s_type, name));
	root = mnt ? BPF_CORE_READ(mnt, mnt_root) : BPF_CORE_READ(sb, s_root);
	if (key->dentry == key->parent && dentry != root) {
		room->path.form = WB_PATH_PSEUDO; /* pipe, socket, memfd, eventfd, disk, ... */
		rdev = BPF_CORE_READ(dentry, d_inode, i_rdev);
		if (rdev)
			room->path.device = rdev;
		wb_add_name(&room->path, dentry);
	} else {
		wb_walk_up(&room->path, dentry, mnt);
	}
	id = wb_hand_over(room, key);
	wb_leave_room(room);
	return id;
}

/* Number of the path of a directory entry below a mount (0: below its file system's root). */
static __always_inline __u32 wb_path_of(struct dentry *dentry, struct vfsmount *mnt)
{
	struct wb_path_key key = {
		.dentry = (__u64)dentry,
		.mount = (__u64)mnt,
		.parent = (__u64)BPF_CORE_READ(dentry, d_parent),
		.name = BPF_CORE_READ(dentry, d_name.hash_len),
		.ino = BPF_CORE_READ(dentry, d_inode, i_ino),
	};
	__u32 *known;

	if (!dentry)
		return WB_PATH_NONE;
	known = bpf_map_lookup_elem(&wb_path_numbers, &key);
	return known ? *known : wb_new_path(&key);
}

#define WB_HASHED_WORDS 64 /* of 8 bytes; longer names are told each time */

/* Number of a name that the program gave, with the directory that it starts from. */
static __noinline __attribute__((unused)) __u32 wb_given_path(const char *name, __u32 base)
{
	struct wb_path_key key = { .name = base };
	struct wb_path_room *room = wb_take_room();
	__u64 hash = 0xcbf29ce484222325; /* FNV-1a, by words */
	__u32 *known, id = WB_PATH_UNKNOWN;
	__u64 *words;
	long bytes;

	if (!room)
		return id;
	words = (void *)room->path.text;
	for (int i = 0; i < WB_HASHED_WORDS; i++)
		words[i] = 0;
	bytes = bpf_probe_read_user_str(room->path.text, WB_PATH_TEXT, name);
	if (bytes <= 0 || bytes > WB_PATH_TEXT)
		goto out;
	for (int i = 0; i < WB_HASHED_WORDS; i++)
		hash = (hash ^ words[i]) * 0x100000001b3;
	key.dentry = hash;
	key.ino = bytes;
	known = bpf_map_lookup_elem(&wb_path_numbers, &key);
	if (known && bytes <= WB_HASHED_WORDS * sizeof(__u64)) {
		id = *known;
		goto out;
	}
	room->path.ino = room->path.device = room->path.cut = 0;
	room->path.type[0] = 0;
	room->path.size = bytes;
	room->path.form = WB_PATH_GIVEN;
	room->path.base = room->path.text[0] == '/' ? WB_PATH_NONE : base;
	id = wb_hand_over(room, &key);
out:
	wb_leave_room(room);
	return id;
}

#endif
