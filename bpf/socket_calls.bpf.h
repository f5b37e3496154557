/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* System calls that send to or receive from a socket, with what they were given.
 *
 * Seen in the context of the thread that calls, so that the target's filter is exact. Not seen:
 * io_uring, splice, and 32-bit programs.
 */
#ifndef WORKBENCH_SOCKET_CALLS_BPF_H
#define WORKBENCH_SOCKET_CALLS_BPF_H

#include "socket.bpf.h"
#include "syscall.bpf.h"

typedef __u16 wb_direction;
typedef __u16 wb_protocol;

/* network_names.py has the same names. */
enum wb_direction {
	WB_SEND,
	WB_RECEIVE,
};
enum wb_direction *wb_enum_direction __attribute__((unused));

enum wb_protocol {
	WB_PROTOCOL_OTHER,
	WB_PROTOCOL_TCP,
	WB_PROTOCOL_UDP,
	WB_PROTOCOL_UNIX,
	WB_PROTOCOL_ICMP,
	WB_PROTOCOL_SCTP,
	WB_PROTOCOL_MPTCP,
};
enum wb_protocol *wb_enum_protocol __attribute__((unused));

/* How a call is given its data; kinds/_socket_calls.py has the same numbers. */
enum {
	WB_FORM_NONE,
	WB_FORM_BUFFER,    /* address and length: write() */
	WB_FORM_ADDRESSED, /* and the other side: sendto() */
	WB_FORM_VECTOR,    /* an array of struct iovec: writev() */
	WB_FORM_MESSAGE,   /* a struct msghdr: sendmsg() */
	WB_FORM_MESSAGES,  /* an array of struct mmsghdr: sendmmsg() */
	WB_FORM_FILE,      /* a file: sendfile() */
	WB_FORM_RECEIVES = 0x10,
};

#define WB_MAX_CALLS 512
#define WB_MAX_MESSAGES 1024 /* UIO_MAXIOV, include/uapi/linux/uio.h: more are not sent */

const volatile __u8 wb_socket_calls[WB_MAX_CALLS] = {}; /* form of each system call */

/* include/uapi/linux/uio.h, include/linux/socket.h: as 64-bit programs lay them out. */
struct wb_iovec {
	void *base;
	__u64 length;
};

struct wb_msghdr {
	void *name;
	__u64 name_length;
	struct wb_iovec *iov;
	__u64 iov_count;
	void *control;
	__u64 control_length;
	__u64 flags;
};

struct wb_mmsghdr {
	struct wb_msghdr header;
	__u32 length; /* set by the kernel: bytes of this message */
	__u32 pad;
};

struct wb_sockaddr {
	__u16 family;
	__be16 port;
	__be32 ipv4; /* of IPv6: the flow */
	__u8 ipv6[16];
};

#define WB_MSG_PEEK 2 /* include/linux/socket.h */

/* The call that a thread is in. */
struct wb_call {
	__u64 ts;
	struct sock *sk; /* 0: none that is looked at */
	__u64 inode;
	void *buffer; /* or iovec, or msghdr: what the form says */
	void *address;
	__u64 count; /* bytes of the buffer */
	__u16 nr;
	__u8 form;
	__u8 receives;
	__u32 peeks; /* it leaves the data there: MSG_PEEK */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct wb_call);
} wb_calls SEC(".maps");

static __always_inline __u16 wb_protocol_of(const struct sock *sk)
{
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == WB_AF_UNIX)
		return WB_PROTOCOL_UNIX;
	switch (BPF_CORE_READ(sk, sk_protocol)) { /* include/uapi/linux/in.h */
	case 1:
	case 58:
		return WB_PROTOCOL_ICMP;
	case 6:
		return WB_PROTOCOL_TCP;
	case 17:
		return WB_PROTOCOL_UDP;
	case 132:
		return WB_PROTOCOL_SCTP;
	case 262:
		return WB_PROTOCOL_MPTCP;
	}
	return WB_PROTOCOL_OTHER;
}

/* Take over the arguments: descriptor, buffer, its size, flags, and the address of sendto(). Returns
 * the descriptor. */
static __always_inline long wb_take_arguments(struct wb_call *call, void *regs)
{
	__u64 args[6], flags = 0;

	read_arguments(args, regs, 5);
	call->buffer = (void *)args[1];
	call->count = args[2];
	call->address = (void *)args[4];
	if (call->form == WB_FORM_ADDRESSED || call->form == WB_FORM_MESSAGES)
		flags = args[3];
	else if (call->form == WB_FORM_MESSAGE)
		flags = args[2];
	call->peeks = call->receives && flags & WB_MSG_PEEK;
	return args[0];
}

/* Note a call of the current task if it is one of the target's on a socket. */
static __always_inline struct wb_call *wb_note_call(struct task_struct *task, void *regs, __u32 nr)
{
	struct wb_call *call, made = {};
	__u8 form;

	if (nr >= WB_MAX_CALLS)
		return 0;
	barrier_var(nr); /* or clang tests bits that the verifier does not take for a bound */
	form = wb_socket_calls[nr & (WB_MAX_CALLS - 1)];
	if (!form || wb_selected(task->tgid) != WB_TARGET_ACTIVE || compat(task))
		return 0;
	made.form = form & ~WB_FORM_RECEIVES;
	made.receives = form & WB_FORM_RECEIVES ? WB_RECEIVE : WB_SEND;
	made.sk = wb_socket_of(wb_take_arguments(&made, regs), &made.inode);
	if (!made.sk)
		return 0;
	call = bpf_task_storage_get(&wb_calls, (void *)task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!call) {
		wb_lose(WB_DROP_MAP_FULL);
		return 0;
	}
	*call = made;
	call->nr = nr;
	call->ts = bpf_ktime_get_boot_ns();
	return call;
}

static __always_inline struct wb_call *wb_call_enter(void *regs, long id)
{
	return wb_note_call((void *)bpf_get_current_task_btf(), regs, id);
}

/* At the return from a system call: what is known of it, if it was one on a socket. The caller
 * sets call->sk to 0 when it is done. A thread that is heard of for the first time here was in the
 * call when the capture began: a server that waits for its clients, say. */
static __always_inline struct wb_call *wb_call_exit(void *regs)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();
	struct wb_call *call = bpf_task_storage_get(&wb_calls, (void *)task, 0, 0);

	if (!call)
		call = wb_note_call(task, regs, syscall_number(regs));
	return call && call->sk ? call : 0;
}

/* Header of a message of the call, made up for calls that have none. */
static __always_inline bool wb_read_header(struct wb_msghdr *header, struct wb_call *call,
					   __u32 index)
{
	__builtin_memset(header, 0, sizeof(*header));
	if (call->form == WB_FORM_MESSAGE)
		return !bpf_probe_read_user(header, sizeof(*header), call->buffer);
	if (call->form == WB_FORM_MESSAGES)
		return !bpf_probe_read_user(header, sizeof(*header),
					    call->buffer + index * sizeof(struct wb_mmsghdr));
	if (call->form == WB_FORM_ADDRESSED)
		header->name = call->address;
	return true;
}

/* Bytes of one of the messages of a call that gave `ret`. */
static __always_inline __u64 wb_message_bytes(struct wb_call *call, __u32 index, long ret)
{
	struct wb_mmsghdr *all = call->buffer;
	__u32 length = 0;

	if (ret < 0)
		return 0;
	if (call->form != WB_FORM_MESSAGES)
		return ret;
	bpf_probe_read_user(&length, sizeof(length), &all[index].length);
	return length;
}

/* What the events of all calls on sockets have in common; the other fields are as they were. */
#define WB_FILL_CALL(event, call, message_bytes)                                                  \
	do {                                                                                      \
		__u64 ids = bpf_get_current_pid_tgid();                                           \
                                                                                                  \
		(event)->ts = (call)->receives ? bpf_ktime_get_boot_ns() : (call)->ts;            \
		(event)->size = message_bytes;                                                    \
		(event)->inode = (call)->inode;                                                   \
		(event)->pid = ids >> 32;                                                         \
		(event)->tid = ids;                                                               \
		(event)->direction = (call)->receives;                                            \
		(event)->cpu = bpf_get_smp_processor_id();                                        \
	} while (0)

/* Whether who sends a question, or receives its answer, is the client. */
static __always_inline wb_role wb_role_of(bool asks, wb_direction direction)
{
	return asks == (direction == WB_SEND) ? WB_ROLE_CLIENT : WB_ROLE_SERVER;
}

/* Where the data of a message begins, and how many bytes lie there in one piece. */
static __always_inline void *wb_message_data(struct wb_call *call, struct wb_msghdr *header,
					     __u64 bytes, __u64 *here)
{
	struct wb_iovec first = {};
	void *iov = header->iov;

	*here = bytes;
	if (call->form == WB_FORM_BUFFER || call->form == WB_FORM_ADDRESSED) {
		if (call->count < bytes) /* with MSG_TRUNC, which tells the size of the whole */
			*here = call->count;
		return call->buffer;
	}
	if (call->form == WB_FORM_FILE)
		return 0;
	if (call->form == WB_FORM_VECTOR)
		iov = call->buffer;
	if (bpf_probe_read_user(&first, sizeof(first), iov))
		return 0;
	if (first.length < bytes)
		*here = first.length;
	return first.base;
}

/* Both ends of a message: the socket's, and the other side that the call names. */
static __always_inline void wb_read_call_ends(struct wb_ends *ends, struct wb_call *call,
					      struct wb_msghdr *header)
{
	struct wb_sockaddr other = {};

	wb_read_socket_ends(ends, call->sk);
	if (ends->family == WB_FAMILY_UNIX || !header->name ||
	    bpf_probe_read_user(&other, sizeof(other.family) + 6, header->name))
		return;
	if (other.family == WB_AF_INET) {
		wb_put_ipv4(ends->remote_address, other.ipv4);
	} else if (other.family == WB_AF_INET6) {
		if (bpf_probe_read_user(&other, sizeof(other), header->name))
			return;
		__builtin_memcpy(ends->remote_address, other.ipv6, 16);
	} else {
		return;
	}
	ends->remote_port = bpf_ntohs(other.port);
}

#endif
