/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the kinds that watch sockets share: the kernel's types, and the two ends of a socket. */
#ifndef WORKBENCH_SOCKET_BPF_H
#define WORKBENCH_SOCKET_BPF_H

#include "workbench.bpf.h"
#include <bpf/bpf_endian.h>

typedef __u64 wb_bytes;
typedef __u64 wb_inode;
typedef __u8 wb_address; /* of an array of 16: IPv6, or IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2) */
typedef __u16 wb_port;
typedef __u16 wb_errno;
typedef __u32 wb_messages;

/* Address family of a socket; network_names.py has the same names. */
enum wb_family {
	WB_FAMILY_OTHER,
	WB_FAMILY_IPV4,
	WB_FAMILY_IPV6,
	WB_FAMILY_UNIX,
};
enum wb_family *wb_enum_family __attribute__((unused));
typedef __u16 wb_family;

/* Which side of a connection or an exchange this is. */
enum wb_role {
	WB_ROLE_UNKNOWN,
	WB_ROLE_CLIENT,
	WB_ROLE_SERVER,
	WB_ROLE_LISTENER,
};
enum wb_role *wb_enum_role __attribute__((unused));
typedef __u16 wb_role;

#define WB_S_IFMT 0170000 /* include/uapi/linux/stat.h */
#define WB_S_IFSOCK 0140000
#define WB_AF_UNIX 1 /* include/linux/socket.h */
#define WB_AF_INET 2
#define WB_AF_INET6 10

struct in6_addr {
	__u8 bytes[16];
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	unsigned long skc_flags;
} __attribute__((preserve_access_index));

struct inode {
	unsigned long i_ino;
	__u16 i_mode;
} __attribute__((preserve_access_index));

struct file {
	struct inode *f_inode;
	void *private_data;
} __attribute__((preserve_access_index));

struct socket {
	struct file *file;
	struct sock *sk;
} __attribute__((preserve_access_index));

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
	__u16 sk_type;
	int sk_err;
	struct socket *sk_socket;
} __attribute__((preserve_access_index));

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
} __attribute__((preserve_access_index));

struct files_struct {
	struct fdtable *fdt;
} __attribute__((preserve_access_index));

struct task_struct___files {
	struct files_struct *files;
} __attribute__((preserve_access_index));

/* Its port stays when skc_num is given back, at the end of a connection. */
struct inet_sock {
	__be16 inet_sport;
} __attribute__((preserve_access_index));

/* The two ends, as they lie in each event, at a multiple of 8 bytes. */
struct wb_ends {
	__u8 local_address[16];
	__u8 remote_address[16];
	__u16 local_port;
	__u16 remote_port;
	__u16 family;
};

#define WB_END_FIELDS                                                                             \
	wb_address local_address[16] WB_DOC("address of this side; :: or 0.0.0.0: any, not bound"); \
	wb_address remote_address[16] WB_DOC("address of the other side; :: or 0.0.0.0: none");    \
	wb_port local_port WB_DOC("port of this side; 0: none");                                   \
	wb_port remote_port WB_DOC("port of the other side; 0: none");                             \
	wb_family family WB_DOC("address family of the socket")
#define WB_ENDS(event) ((struct wb_ends *)&(event)->local_address)

static __always_inline void wb_put_ipv4(__u8 *to, __be32 address)
{
	__u32 *words = (__u32 *)to;

	words[0] = words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = address;
}

/* Both ends of a socket, or of what begins like one (struct request_sock). */
static __always_inline void wb_read_ends(struct wb_ends *ends, const struct sock_common *common)
{
	__u16 family = BPF_CORE_READ(common, skc_family);

	__builtin_memset(ends, 0, sizeof(*ends));
	if (family == WB_AF_UNIX)
		ends->family = WB_FAMILY_UNIX;
	if (family != WB_AF_INET && family != WB_AF_INET6)
		return;
	ends->local_port = BPF_CORE_READ(common, skc_num);
	ends->remote_port = bpf_ntohs(BPF_CORE_READ(common, skc_dport));
	if (family == WB_AF_INET) {
		ends->family = WB_FAMILY_IPV4;
		wb_put_ipv4(ends->local_address, BPF_CORE_READ(common, skc_rcv_saddr));
		wb_put_ipv4(ends->remote_address, BPF_CORE_READ(common, skc_daddr));
	} else {
		ends->family = WB_FAMILY_IPV6;
		bpf_core_read(ends->local_address, 16, &common->skc_v6_rcv_saddr);
		bpf_core_read(ends->remote_address, 16, &common->skc_v6_daddr);
	}
}

/* Both ends of an IP socket, also after it was unbound. */
static __always_inline void wb_read_socket_ends(struct wb_ends *ends, const struct sock *sk)
{
	wb_read_ends(ends, &sk->__sk_common);
	if (!ends->local_port && ends->family != WB_FAMILY_UNIX)
		ends->local_port = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
}

/* Number of the socket's inode, as /proc/PID/fd and `ss -e` show it; 0 while no file holds it. */
static __always_inline __u64 wb_read_inode(const struct sock *sk)
{
	struct socket *socket = BPF_CORE_READ(sk, sk_socket);

	return socket ? BPF_CORE_READ(socket, file, f_inode, i_ino) : 0;
}

/* The socket that a descriptor of the current task stands for, and its inode; 0: another file. */
static __always_inline struct sock *wb_socket_of(long fd, __u64 *inode)
{
	struct task_struct___files *task = (void *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file *file = 0, **all = BPF_CORE_READ(table, fd);
	struct inode *node;
	struct socket *socket;

	if (fd < 0 || fd >= BPF_CORE_READ(table, max_fds) ||
	    bpf_probe_read_kernel(&file, sizeof(file), &all[fd]) || !file)
		return 0;
	node = BPF_CORE_READ(file, f_inode);
	if ((BPF_CORE_READ(node, i_mode) & WB_S_IFMT) != WB_S_IFSOCK)
		return 0;
	*inode = BPF_CORE_READ(node, i_ino);
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

#endif
