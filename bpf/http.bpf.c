// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Plain HTTP/1 of the target: requests and answers, from what its sockets carry; an event for each,
 * or sums and histograms by path, status and other side that are made in the kernel.
 *
 * Captured of each message: of a request the method and the path, without the query unless that is
 * asked for; of an answer the status. No headers, no bodies. Looked at are the first bytes of each
 * send and receive, so a message that begins in the middle of one is not seen (pipelining).
 */
#include "socket_calls.bpf.h"
#include "aggregate.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u16 http_port = 0;  /* of the servers; 0: any */
const volatile __u32 with_query = 0; /* 1: the path's query belongs to it */
const volatile __u32 aggregate = 0;  /* 1: counts in the kernel, no events */

#define PATH_SIZE 128
#define HEAD_SIZE 256 /* of the first line: longer ones are cut */
#define MAX_METHOD 8  /* bytes of the longest method and the space behind it */

typedef __u8 wb_text;
typedef __u16 wb_http_message;
typedef __u16 wb_http_method;
typedef __u16 wb_status;

enum wb_http_message {
	WB_HTTP_REQUEST,
	WB_HTTP_ANSWER,
};
enum wb_http_message *wb_enum_http_message __attribute__((unused));

/* RFC 9110, 9.3; RFC 5789. */
enum wb_http_method {
	WB_METHOD_NONE,
	WB_METHOD_GET,
	WB_METHOD_HEAD,
	WB_METHOD_POST,
	WB_METHOD_PUT,
	WB_METHOD_DELETE,
	WB_METHOD_CONNECT,
	WB_METHOD_OPTIONS,
	WB_METHOD_TRACE,
	WB_METHOD_PATCH,
};
enum wb_http_method *wb_enum_http_method __attribute__((unused));

struct http_event {
	wb_time_ns ts WB_DOC("entry into the call that sends, return from the one that receives, UTC");
	wb_duration_ns latency WB_DOC("answer: time since its request on the same socket; 0: none was "
				      "seen; request: 0");
	wb_bytes size WB_DOC("bytes of the call with which the message begins");
	wb_inode inode WB_DOC("inode of the socket, as in /proc/PID/fd");
	wb_pid pid WB_DOC("process (thread group) id");
	wb_tid tid WB_DOC("thread id");
	wb_direction direction WB_DOC("send or receive: clients send requests, servers answers");
	wb_http_message message WB_DOC("request or answer");
	wb_http_method method WB_DOC("of the request, also in the row of its answer; none: not seen");
	wb_status status WB_DOC("status code of an answer; request: 0");
	wb_flag truncated WB_DOC("1: the path is longer than what is kept");
	wb_cpu cpu WB_DOC("CPU on which the call returned");
	__u16 pad[2];
	WB_END_FIELDS;
	__u16 pad2;
	wb_text path[PATH_SIZE] WB_DOC("path of the request, also in the row of its answer, without the "
				       "query unless with_query was set");
};
WB_EVENT(http_event);

struct aggregate_key {
	wb_text path[PATH_SIZE] WB_DOC("path of the request, also in the row of its answers, without the "
				       "query unless with_query was set");
	wb_address remote_address[16] WB_DOC("address of the other side; :: or 0.0.0.0: none");
	wb_pid pid WB_DOC("process (thread group) id");
	wb_role role WB_DOC("client: it sends requests; server: it sends answers");
	wb_port port WB_DOC("port of the service: a client's remote one, a server's local one; 0: none");
	wb_http_method method WB_DOC("of the request, also in the row of its answers; none: not seen");
	wb_status status WB_DOC("status code of the answers; 0: the row counts the requests");
};
WB_EVENT(aggregate_key);

struct aggregate_value {
	wb_count messages WB_DOC("requests and answers: rows that the single events would have had");
	wb_count requests WB_DOC("requests");
	wb_count answers WB_DOC("answers");
	wb_count answered WB_DOC("answers whose request was seen: the latencies are theirs");
	wb_count truncated WB_DOC("messages whose path is longer than what is kept");
	wb_bytes bytes WB_DOC("bytes of the calls with which they begin");
	wb_duration_ns latency_sum WB_DOC("sum of the times from a request to its answer");
	wb_duration_ns latency_max WB_DOC("longest of them");
	wb_count latency_hist[HIST_SLOTS] WB_DOC("answers that took [2^i, 2^(i+1)) ns");
};
WB_EVENT(aggregate_value);

WB_AGGREGATES(16384, WB_ROOM_ON_DEMAND)

/* The last request of a connection. */
struct request {
	__u64 ts;
	__u16 method;
	__u16 truncated;
	__u32 pad;
	__u8 path[PATH_SIZE];
};

struct key {
	__u64 inode;
	__u64 direction; /* of the request */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct key);
	__type(value, struct request);
} requests SEC(".maps");

struct scratch {
	struct http_event event;
	struct request request;
	struct aggregate_key key;
	__u64 target; /* where it begins: kept here, the verifier knows it for no method alone */
	__u8 head[HEAD_SIZE + MAX_METHOD];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* Whether the head begins so; `text` is a constant. */
#define BEGINS(head, text) begins(head, text, sizeof(text) - 1)

static __always_inline bool begins(const __u8 *head, const char *text, __u32 size)
{
	bool same = true;

#pragma unroll
	for (__u32 i = 0; i < size; i++)
		same &= head[i] == (__u8)text[i];
	return same;
}

#define barrier() asm volatile("" ::: "memory")

/* Method of a request line, and where its target begins; WB_METHOD_NONE: it is none. */
static __always_inline __u16 method_of(const __u8 *head, __u32 *at)
{
#define METHOD(name)                                                                              \
	if (BEGINS(head, #name " ")) {                                                            \
		*at = sizeof(#name " ") - 1;                                                      \
		return WB_METHOD_##name;                                                          \
	}
	METHOD(GET)
	METHOD(HEAD)
	METHOD(POST)
	METHOD(PUT)
	METHOD(DELETE)
	METHOD(CONNECT)
	METHOD(OPTIONS)
	METHOD(TRACE)
	METHOD(PATCH)
#undef METHOD
	return WB_METHOD_NONE;
}

/* 1 if a < b, else 0, without a branch: the verifier follows both sides of each one, and there
 * would be one for each byte of a line. */
static __always_inline __u32 less(__u32 a, __u32 b)
{
	__u32 difference = a - b;

	barrier_var(difference); /* or clang makes it a branch again */
	return difference >> 31;
}

static __always_inline __u32 equal(__u32 a, __u32 b)
{
	return less(a ^ b, 1);
}

/* Whether the line goes on as one of HTTP/1 (RFC 9112, 3) behind the target that begins at `at`. */
static __always_inline bool is_http(const __u8 *head, __u32 at, __u32 there)
{
	__u32 ended = 0, end = at;

	for (__u32 i = 0; i < HEAD_SIZE - MAX_METHOD; i++) {
		ended |= less(head[(at + i) & (HEAD_SIZE - 1)], 0x21);
		end += 1 - ended;
	}
	if (end >= there || !ended)
		return true; /* cut off, by us or by the one who sends */
	end &= HEAD_SIZE - 1;
	return head[end] == ' ' && BEGINS(&head[end + 1], "HTTP/1.");
}

/* Copy the target of a request line that begins at `at`. */
static __always_inline void read_target(struct request *request, const __u8 *head, __u32 at)
{
	__u32 ended = 0, cut = !with_query;

	for (__u32 i = 0; i < PATH_SIZE; i++) {
		__u32 c = head[(at + i) & (HEAD_SIZE - 1)];

		ended |= less(c, 0x21) | (equal(c, '?') & cut);
		request->path[i] = c & (ended - 1);
	}
	request->truncated = 1 - ended;
}

static __always_inline __u32 digit(__u8 c)
{
	return c >= '0' && c <= '9' ? c - '0' : 1000;
}

/* Status of an answer's first line (RFC 9112, 4); 0: it is none. */
static __always_inline __u16 status_of(const __u8 *head)
{
	__u32 status;

	if (!BEGINS(head, "HTTP/1.") || head[8] != ' ')
		return 0;
	status = digit(head[9]) * 100 + digit(head[10]) * 10 + digit(head[11]);
	return status >= 100 && status < 1000 ? status : 0;
}

static __always_inline bool is_request(struct http_event *e, struct scratch *scratch, __u32 there)
{
	struct key key = { .inode = e->inode, .direction = e->direction };
	struct request *request = &scratch->request;
	__u32 at = 0;

	request->method = method_of(scratch->head, &at);
	if (!request->method)
		return false;
	scratch->target = at;
	barrier();
	at = scratch->target;
	if (at > MAX_METHOD || !is_http(scratch->head, at, there))
		return false;
	read_target(request, scratch->head, at);
	request->ts = e->ts;
	bpf_map_update_elem(&requests, &key, request, BPF_ANY);
	e->message = WB_HTTP_REQUEST;
	e->method = request->method;
	e->truncated = request->truncated;
	__builtin_memcpy(e->path, request->path, sizeof(e->path));
	return true;
}

static __always_inline bool is_answer(struct http_event *e, struct scratch *scratch)
{
	struct key key = { .inode = e->inode, .direction = !e->direction };
	__u16 status = status_of(scratch->head);
	struct request *request;

	/* 1xx are told on the way to the answer, but for 101, which ends the use of HTTP. */
	if (!status || (status < 200 && status != 101))
		return false;
	e->message = WB_HTTP_ANSWER;
	e->status = status;
	request = bpf_map_lookup_elem(&requests, &key);
	if (!request) {
		__builtin_memset(e->path, 0, sizeof(e->path));
		return true;
	}
	e->latency = e->ts - request->ts;
	e->method = request->method;
	e->truncated = request->truncated;
	__builtin_memcpy(e->path, request->path, sizeof(e->path));
	bpf_map_delete_elem(&requests, &key);
	return true;
}

static __always_inline void count(struct aggregate_key *key, const struct http_event *e)
{
	bool asks = e->message == WB_HTTP_REQUEST;
	struct aggregate_value *value;
	bool is_new;

	__builtin_memcpy(key->path, e->path, PATH_SIZE);
	__builtin_memcpy(key->remote_address, e->remote_address, 16);
	key->pid = e->pid;
	key->role = wb_role_of(asks, e->direction);
	key->port = key->role == WB_ROLE_CLIENT ? e->remote_port : e->local_port;
	key->method = e->method;
	key->status = e->status;
	value = aggregate_of(key, &is_new);
	if (!value)
		return;
	WB_ADD(value, messages, 1);
	WB_ADD(value, truncated, e->truncated);
	WB_ADD(value, bytes, e->size);
	if (asks) {
		WB_ADD(value, requests, 1);
		return;
	}
	WB_ADD(value, answers, 1);
	if (e->latency)
		WB_ADD_LATENCY(value, e->latency);
}

static __always_inline bool carries_http(struct wb_call *call)
{
	__u16 protocol = wb_protocol_of(call->sk);

	return protocol == WB_PROTOCOL_TCP || protocol == WB_PROTOCOL_MPTCP ||
	       protocol == WB_PROTOCOL_UNIX;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(call_begins, void *regs, long id)
{
	struct wb_call *call = wb_call_enter(regs, id);

	if (call && !carries_http(call))
		call->sk = 0;
	return 0;
}

static __always_inline void look_at(void *ctx, struct wb_call *call, long ret)
{
	__u64 bytes = wb_message_bytes(call, 0, ret), here;
	struct wb_msghdr header;
	struct scratch *scratch;
	struct http_event *e;
	__u32 zero = 0, there;
	void *data;

	scratch = bpf_map_lookup_elem(&scratches, &zero);
	if (!scratch || !wb_read_header(&header, call, 0))
		return;
	data = wb_message_data(call, &header, bytes, &here);
	there = here > HEAD_SIZE ? HEAD_SIZE : here;
	__builtin_memset(scratch->head, 0, sizeof(scratch->head));
	if (there < MAX_METHOD || bpf_probe_read_user(scratch->head, there, data))
		return;
	e = &scratch->event;
	WB_FILL_CALL(e, call, bytes);
	e->latency = 0;
	e->method = e->status = e->truncated = 0;
	header.name = 0; /* connected */
	wb_read_call_ends(WB_ENDS(e), call, &header);
	if (http_port && e->local_port != http_port && e->remote_port != http_port)
		return;
	if (!is_answer(e, scratch) && !is_request(e, scratch, there))
		return;
	if (aggregate)
		count(&scratch->key, e);
	else
		wb_output(ctx, e, sizeof(*e));
}

SEC("tp_btf/sys_exit")
int BPF_PROG(call_ends, void *regs, long ret)
{
	struct wb_call *call = wb_call_exit(regs);

	if (!call || !carries_http(call))
		return 0;
	if (ret > 0 && !call->peeks)
		look_at(ctx, call, ret);
	call->sk = 0;
	return 0;
}
