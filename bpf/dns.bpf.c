// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* DNS queries and answers of the target, from what its sockets carry to and from UDP port 53: an
 * event for each message, or sums and histograms by name and other side that are made in the kernel.
 *
 * Captured of each message: the header and the first question (RFC 1035, 4.1), its name, type and
 * class. All else of it stays where it is, the records of answers too.
 */
#include "socket_calls.bpf.h"
#include "aggregate.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u16 dns_port = 53;
const volatile __u32 aggregate = 0; /* 1: counts in the kernel, no events */

#define NAME_SIZE 256  /* 255 at most: RFC 1035, 2.3.4 */
#define MAX_LABELS 128 /* a label and its length take two bytes at least */
#define MAX_MESSAGES 4 /* of one call: resolvers send two; each one more is walked by the verifier */
#define FIXED 4        /* type and class of the question */
#define OTHER_TYPE 258 /* of those from here on network_names.py has no names: one key for all */
#define RCODES 16      /* of the header, RFC 1035, 4.1.1 */

struct header { /* RFC 1035, 4.1.1 */
	__be16 id;
	__be16 flags;
	__be16 questions;
	__be16 answers;
	__be16 authorities;
	__be16 additional;
};

typedef __u8 wb_dns_name;
typedef __u16 wb_dns_type;
typedef __u16 wb_dns_code;
typedef __u16 wb_dns_message;
typedef __u16 wb_id;
typedef __u16 wb_records;

enum wb_dns_message {
	WB_DNS_QUERY,
	WB_DNS_ANSWER,
};
enum wb_dns_message *wb_enum_dns_message __attribute__((unused));

struct dns_event {
	wb_time_ns ts WB_DOC("entry into the call that sends, return from the one that receives, UTC");
	wb_duration_ns latency WB_DOC("answer: time since the query with that id on the same socket; 0: "
				      "none was seen; query: 0");
	wb_bytes size WB_DOC("bytes of the message");
	wb_inode inode WB_DOC("inode of the socket, as in /proc/PID/fd");
	wb_pid pid WB_DOC("process (thread group) id");
	wb_tid tid WB_DOC("thread id");
	wb_direction direction WB_DOC("send or receive: clients send queries, servers answers");
	wb_dns_message message WB_DOC("query or answer");
	wb_id id WB_DOC("number of the query, which its answer repeats");
	wb_dns_type qtype WB_DOC("type of the record that is asked for");
	wb_dns_code rcode WB_DOC("answer: how it went (RCODE); query: noerror");
	__u16 pad;
	wb_records answers WB_DOC("records in the answer section");
	wb_flag truncated WB_DOC("1: the message did not fit, and is asked for again by TCP");
	wb_flag malformed WB_DOC("1: the question is cut off or not well formed; qname and qtype are "
				 "what could be read");
	wb_cpu cpu WB_DOC("CPU on which the call returned");
	WB_END_FIELDS;
	__u16 pad2;
	wb_dns_name qname[NAME_SIZE] WB_DOC("name that is asked for, with decimal escapes for bytes that are no "
					   "printable ASCII (RFC 4343, 2.1)");
};
WB_EVENT(dns_event);

struct aggregate_key {
	wb_dns_name qname[NAME_SIZE] WB_DOC("name that is asked for, in lower case: names are compared without "
					   "regard to case (RFC 4343)");
	wb_address remote_address[16] WB_DOC("address of the other side: a client's server, a server's client");
	wb_pid pid WB_DOC("process (thread group) id");
	wb_role role WB_DOC("client: it sends queries; server: it sends answers");
	wb_dns_type qtype WB_DOC("type of the record that is asked for");
};
WB_EVENT(aggregate_key);

struct aggregate_value {
	wb_count messages WB_DOC("queries and answers: rows that the single events would have had");
	wb_count queries WB_DOC("queries; one that is sent again counts again");
	wb_count answers WB_DOC("answers");
	wb_count answered WB_DOC("answers whose query was seen: the latencies are theirs");
	wb_count empty WB_DOC("answers without an error that hold no record of the type");
	wb_count truncated WB_DOC("messages that did not fit");
	wb_count malformed WB_DOC("messages whose question is cut off or not well formed");
	wb_bytes query_bytes WB_DOC("bytes of the queries");
	wb_bytes answer_bytes WB_DOC("bytes of the answers");
	wb_duration_ns latency_sum WB_DOC("sum of the times from a query to its answer");
	wb_duration_ns latency_max WB_DOC("longest of them");
	wb_count rcodes[RCODES] WB_DOC("answers by response code: 0 noerror, 2 servfail, 3 nxdomain, 5 refused, ...");
	wb_count latency_hist[HIST_SLOTS] WB_DOC("answers that took [2^i, 2^(i+1)) ns");
};
WB_EVENT(aggregate_value);

WB_AGGREGATES(16384, WB_ROOM_ON_DEMAND)

/* Queries that wait for their answer. */
struct question {
	__u64 inode;
	__u32 id;
	__u32 remote; /* port: a server hears the same id from several clients */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct question);
	__type(value, __u64); /* when */
} asked SEC(".maps");

struct scratch {
	struct dns_event event;
	struct aggregate_key key;
	__u8 message[NAME_SIZE + FIXED]; /* behind the header */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* Find the end of the first name. Returns its size with the last, empty label; 0: malformed. */
static __always_inline __u32 name_size(const __u8 *message, __u32 there)
{
	__u32 at = 0;

	for (int i = 0; i < MAX_LABELS; i++) {
		__u32 length;

		if (at >= there || at >= NAME_SIZE - 1)
			return 0;
		length = message[at & (NAME_SIZE - 1)];
		if (!length)
			return at + 1;
		if (length > 63) /* a pointer: there is nothing before it that it could point to */
			return 0;
		at += length + 1;
	}
	return 0;
}

static __always_inline void read_question(struct dns_event *e, struct scratch *scratch,
					  const void *data, __u64 here)
{
	__u32 there = here > sizeof(scratch->message) ? sizeof(scratch->message) : here;
	__u32 size;

	__builtin_memset(e->qname, 0, sizeof(e->qname));
	e->qtype = 0;
	e->malformed = 1;
	if (bpf_probe_read_user(scratch->message, there, data))
		return;
	size = name_size(scratch->message, there);
	if (!size) /* no name of what was here before */
		return;
	bpf_probe_read_kernel(e->qname, size & (NAME_SIZE - 1), scratch->message);
	if (size + FIXED > there || size >= NAME_SIZE)
		return;
	e->qtype = scratch->message[size] << 8 | scratch->message[size + 1];
	e->malformed = 0;
}

static __always_inline void match(struct dns_event *e)
{
	struct question key = { .inode = e->inode, .id = e->id };
	__u64 *when, ts = e->ts;

	if (e->message == WB_DNS_QUERY ? e->direction == WB_RECEIVE : e->direction == WB_SEND)
		key.remote = e->remote_port;
	if (e->message == WB_DNS_QUERY) {
		bpf_map_update_elem(&asked, &key, &ts, BPF_ANY);
		return;
	}
	when = bpf_map_lookup_elem(&asked, &key);
	if (when) {
		e->latency = ts - *when;
		bpf_map_delete_elem(&asked, &key);
	}
}

/* The letters A to Z among 8 bytes in lower case. No byte carries into the next one, as the highest
 * bits are left out; lengths of labels are less than 64 and no letters. */
static __always_inline __u64 lower_case(__u64 bytes)
{
	const __u64 ones = 0x0101010101010101, high = 0x80 * ones;
	__u64 low = bytes & ~high;
	__u64 from_a = low + (0x80 - 'A') * ones, past_z = low + (0x7f - 'Z') * ones;

	return bytes | ((from_a ^ past_z) & ~bytes & high) >> 2;
}

static __always_inline void count_key(struct aggregate_key *key, const struct dns_event *e)
{
	const __u64 *from = (const void *)e->qname;
	__u64 *to = (void *)key->qname;

	for (int i = 0; i < NAME_SIZE / 8; i++)
		to[i] = lower_case(from[i]);
	__builtin_memcpy(key->remote_address, e->remote_address, 16);
	key->pid = e->pid;
	key->role = wb_role_of(e->message == WB_DNS_QUERY, e->direction);
	key->qtype = e->qtype < OTHER_TYPE ? e->qtype : OTHER_TYPE;
}

static __always_inline void count(struct aggregate_key *key, const struct dns_event *e)
{
	struct aggregate_value *value;
	bool is_new;

	count_key(key, e);
	value = aggregate_of(key, &is_new);
	if (!value)
		return;
	WB_ADD(value, messages, 1);
	WB_ADD(value, truncated, e->truncated);
	WB_ADD(value, malformed, e->malformed);
	if (e->message == WB_DNS_QUERY) {
		WB_ADD(value, queries, 1);
		WB_ADD(value, query_bytes, e->size);
		return;
	}
	WB_ADD(value, answers, 1);
	WB_ADD(value, answer_bytes, e->size);
	WB_ADD(value, rcodes[e->rcode & (RCODES - 1)], 1);
	if (!e->rcode && !e->answers)
		WB_ADD(value, empty, 1);
	if (e->latency)
		WB_ADD_LATENCY(value, e->latency);
}

/* Report a message, if it is one of DNS; false: it is none. */
static __always_inline bool report(void *ctx, struct wb_call *call, __u32 index, long ret)
{
	__u64 bytes = wb_message_bytes(call, index, ret), here;
	struct wb_msghdr message;
	struct scratch *scratch;
	struct header header;
	struct dns_event *e;
	__u32 zero = 0;
	__u16 flags;
	void *data;

	scratch = bpf_map_lookup_elem(&scratches, &zero);
	if (!scratch || !wb_read_header(&message, call, index))
		return false;
	e = &scratch->event;
	wb_read_call_ends(WB_ENDS(e), call, &message);
	if (e->remote_port != dns_port && e->local_port != dns_port)
		return false;
	data = wb_message_data(call, &message, bytes, &here);
	if (here < sizeof(header) || bpf_probe_read_user(&header, sizeof(header), data))
		return false; /* too short to be one */
	flags = bpf_ntohs(header.flags);
	WB_FILL_CALL(e, call, bytes);
	e->message = flags >> 15; /* QR */
	e->latency = 0;
	e->id = bpf_ntohs(header.id);
	e->rcode = e->message == WB_DNS_ANSWER ? flags & 0xf : 0;
	e->answers = bpf_ntohs(header.answers);
	e->truncated = flags >> 9 & 1;
	read_question(e, scratch, data + sizeof(header), here - sizeof(header));
	if (!header.questions)
		e->malformed = 1;
	match(e);
	if (aggregate)
		count(&scratch->key, e);
	else
		wb_output(ctx, e, sizeof(*e));
	return true;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(call_begins, void *regs, long id)
{
	struct wb_call *call = wb_call_enter(regs, id);

	if (call && wb_protocol_of(call->sk) != WB_PROTOCOL_UDP)
		call->sk = 0;
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(call_ends, void *regs, long ret)
{
	struct wb_call *call = wb_call_exit(regs);
	bool found = false;
	__u32 messages;

	if (!call || wb_protocol_of(call->sk) != WB_PROTOCOL_UDP)
		return 0;
	messages = ret <= 0 || call->peeks ? 0 : call->form == WB_FORM_MESSAGES ? ret : 1;
	for (__u32 i = 0; i < MAX_MESSAGES && i < messages; i++) {
		/* Or clang takes a part of the first turn out of the loop, which then begins behind an
		 * instruction that is no jump: refused by Linux 6.1 (visit_insn(), "back-edge"). */
		asm volatile("" ::: "memory");
		found = report(ctx, call, i, ret);
	}
	for (__u32 i = MAX_MESSAGES; found && i < WB_MAX_MESSAGES && i < messages; i++)
		wb_lose(WB_DROP_UNSEEN); /* of a call that sends very many at once */
	call->sk = 0;
	return 0;
}
