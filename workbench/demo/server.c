// SPDX-License-Identifier: Apache-2.0
/*
 * A small HTTP/1.1 server on the loopback interface: every worker thread accepts connections and
 * serves each until it is closed. What is slow here is slow on purpose:
 *
 *   /fast     nothing but the answer
 *   /slow     holds one lock for all requests while it sleeps: the others queue behind it
 *   /report   computes: makes, sorts and hashes rows, and renders them as JSON
 *   /chatty   thousands of small system calls, some of which fail
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "slow_api.h"

#define MAX_WORKERS 64
#define REQUEST_SIZE 2048
#define BODY_SIZE 65536
#define SLOW_NS 12000000L
#define REPORT_ROWS 20000
#define REPORT_SHOWN 400
#define HASH_ROUNDS 16
#define CHATTY_BYTES 800
#define CHATTY_FILES 150
#define CHATTY_PIDS 200

struct row { uint32_t id, customer, cents; };

struct worker {
	pthread_t thread;
	int number;
	int listener;
	int pipe[2];             /* /chatty talks to itself through it */
	atomic_int connection;   /* -1: none */
	struct row rows[REPORT_ROWS], spare[REPORT_ROWS];
	char request[REQUEST_SIZE + 1];
	char body[BODY_SIZE];
	size_t length;           /* of body */
};

static struct worker *workers[MAX_WORKERS];
static atomic_bool stopping;
static pthread_mutex_t database = PTHREAD_MUTEX_INITIALIZER;

/* ---- /report: a call tree that a flamegraph can show ---- */

FRAME static long parse_query(const char *query, const char *name, long fallback)
{
	const char *at = query ? strstr(query, name) : NULL;

	return at ? strtol(at + strlen(name), NULL, 10) : fallback;
}

FRAME static void make_rows(struct row *rows, size_t count, uint64_t seed)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t random = next_random(&seed);

		rows[i] = (struct row){(uint32_t)i, (uint32_t)(random >> 44), (uint32_t)random >> 12};
	}
}

FRAME static bool comes_before(const struct row *a, const struct row *b)
{
	KEEP_FRAME();
	return a->customer != b->customer ? a->customer < b->customer : a->id < b->id;
}

FRAME static void merge_rows(const struct row *rows, size_t middle, size_t count, struct row *to)
{
	size_t left = 0, right = middle;

	for (size_t i = 0; i < count; i++)
		to[i] = left < middle && (right == count || !comes_before(&rows[right], &rows[left]))
			? rows[left++] : rows[right++];
}

FRAME static void sort_rows(struct row *rows, size_t count, struct row *spare)
{
	size_t middle = count / 2;

	if (count < 2)
		return;
	sort_rows(rows, middle, spare);
	sort_rows(rows + middle, count - middle, spare);
	merge_rows(rows, middle, count, spare);
	for (size_t i = 0; i < count; i++)
		rows[i] = spare[i];
}

/* FNV-1a, byte by byte (the slow way), several times (the slower way) */
FRAME static uint64_t hash_rows(const struct row *rows, size_t count)
{
	const unsigned char *bytes = (const unsigned char *)rows;
	uint64_t hash = 0xcbf29ce484222325ULL;

	KEEP_FRAME();
	for (int round = 0; round < HASH_ROUNDS; round++)
		for (size_t i = 0; i < count * sizeof(*rows); i++)
			hash = (hash ^ bytes[i]) * 0x100000001b3ULL;
	return hash;
}

FRAME static char *append_number(char *to, uint64_t value)
{
	char digits[20];
	int count = 0;

	KEEP_FRAME();
	do
		digits[count++] = (char)('0' + value % 10);
	while (value /= 10);
	while (count)
		*to++ = digits[--count];
	return to;
}

FRAME static char *append_text(char *to, const char *text)
{
	KEEP_FRAME();
	while (*text)
		*to++ = *text++;
	return to;
}

/* Every row is rendered, the last REPORT_SHOWN are sent. */
FRAME static size_t render_json(const struct row *rows, size_t count, uint64_t hash, char *body)
{
	char *at = body;

	for (size_t i = 0; i < count; i++) {
		if (i % REPORT_SHOWN == 0)
			at = append_text(append_number(append_text(body, "{\"hash\":"), hash), ",\"rows\":[");
		at = append_number(append_text(at, at[-1] == '[' ? "{\"id\":" : ",{\"id\":"), rows[i].id);
		at = append_number(append_text(at, ",\"customer\":"), rows[i].customer);
		at = append_number(append_text(at, ",\"cents\":"), rows[i].cents);
		at = append_text(at, "}");
	}
	return (size_t)(append_text(at, "]}") - body);
}

FRAME static void build_report(struct worker *w, const char *query)
{
	long wanted = parse_query(query, "rows=", REPORT_ROWS);
	size_t count = wanted > 0 && wanted < REPORT_ROWS ? (size_t)wanted : REPORT_ROWS;

	make_rows(w->rows, count, (uint64_t)parse_query(query, "seed=", 1));
	sort_rows(w->rows, count, w->spare);
	w->length = render_json(w->rows, count, hash_rows(w->rows, count), w->body);
}

/* ---- /slow and /chatty ---- */

FRAME static void query_database(struct worker *w)
{
	const struct timespec length = {.tv_nsec = SLOW_NS};

	pthread_mutex_lock(&database); /* the fault to find: one lock for all requests */
	nanosleep(&length, NULL);
	pthread_mutex_unlock(&database);
	w->length = (size_t)sprintf(w->body, "{\"found\":1}");
}

/*
 * libc's own functions have no frame, so stacks by frame pointers skip whoever calls them: these
 * small functions are there to be skipped, and leave read_settings to be seen.
 */
FRAME static bool pass_byte(const int *pipe)
{
	char byte = 'x';

	return write(pipe[1], &byte, 1) == 1 && read(pipe[0], &byte, 1) == 1;
}

FRAME static bool look_for(const char *path)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);

	if (file >= 0)
		close(file);
	return file >= 0;
}

FRAME static bool look_at(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0;
}

FRAME static void read_settings(struct worker *w)
{
	long done = 0, missing = 0;
	char path[64];

	for (int i = 0; i < CHATTY_BYTES; i++)
		done += pass_byte(w->pipe);
	for (int i = 0; i < CHATTY_FILES; i++) {
		snprintf(path, sizeof(path), "/etc/slow-api/%d.conf", i);
		missing += !look_for(path);
		done += look_at("/etc/passwd");
	}
	for (int i = 0; i < CHATTY_PIDS; i++)
		done += syscall(SYS_getpid) > 0;
	w->length = (size_t)sprintf(w->body, "{\"done\":%ld,\"missing\":%ld}", done, missing);
}

/* ---- HTTP ---- */

/* Read one request; 1: complete, 0: the client has closed, -1: not HTTP or too long. */
static int read_request(struct worker *w, int connection)
{
	size_t have = 0;

	while (have < REQUEST_SIZE) {
		ssize_t got = recv(connection, w->request + have, REQUEST_SIZE - have, 0);

		if (got <= 0)
			return have ? -1 : 0;
		have += (size_t)got;
		w->request[have] = 0;
		if (have >= 4 && !memcmp(w->request + have - 4, "\r\n\r\n", 4))
			return memcmp(w->request, "GET /", 5) ? -1 : 1;
	}
	return -1;
}

FRAME static const char *route(struct worker *w)
{
	char *path = w->request + 4, *end = path + strcspn(path, " \r\n"), *query;

	*end = 0;
	query = strchr(path, '?');
	if (query)
		*query++ = 0;
	if (!strcmp(path, "/fast"))
		w->length = (size_t)sprintf(w->body, "{\"ok\":true}");
	else if (!strcmp(path, "/slow"))
		query_database(w);
	else if (!strcmp(path, "/report"))
		build_report(w, query);
	else if (!strcmp(path, "/chatty"))
		read_settings(w);
	else
		return "404 Not Found";
	return "200 OK";
}

static bool answer(struct worker *w, int connection, const char *status)
{
	char head[160];
	int length = snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
			      "Content-Length: %zu\r\n\r\n", status, w->length);

	return send(connection, head, (size_t)length, MSG_NOSIGNAL | (w->length ? MSG_MORE : 0)) == length
		&& send(connection, w->body, w->length, MSG_NOSIGNAL) == (ssize_t)w->length;
}

FRAME static void serve_connection(struct worker *w, int connection)
{
	bool open = true;
	int got;

	while (open && !stopping && (got = read_request(w, connection)) != 0) {
		w->length = 0;
		open = answer(w, connection, got > 0 ? route(w) : "400 Bad Request") && got > 0;
	}
}

static void *work(void *argument)
{
	struct worker *w = argument;
	char name[16];
	int one = 1;

	snprintf(name, sizeof(name), "api-worker-%d", w->number);
	set_name(name);
	while (!stopping) {
		int connection = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC);

		if (connection < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			break; /* shut down */
		}
		setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		w->connection = connection;
		serve_connection(w, connection);
		w->connection = -1;
		close(connection);
	}
	return NULL;
}

int open_listener(long port, long *bound)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t length = sizeof(address);
	int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (listener < 0)
		die("socket");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 128))
		die("listen on 127.0.0.1");
	if (getsockname(listener, (struct sockaddr *)&address, &length))
		die("getsockname");
	*bound = ntohs(address.sin_port);
	return listener;
}

sigset_t hold_end_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return set;
}

int serve(int listener, long count)
{
	sigset_t set = hold_end_signals(); /* inherited by the workers: only sigwait sees them */
	int signal;

	for (int i = 0; i < count; i++) {
		struct worker *w = workers[i] = calloc(1, sizeof(*w));

		if (!w || pipe2(w->pipe, O_CLOEXEC))
			die("worker");
		w->number = i;
		w->listener = listener;
		w->connection = -1;
		errno = pthread_create(&w->thread, NULL, work, w);
		if (errno)
			die("pthread_create");
	}
	sigwait(&set, &signal);
	stopping = true;
	shutdown(listener, SHUT_RDWR); /* ends every accept */
	for (int i = 0; i < count; i++) {
		int connection = workers[i]->connection;

		if (connection >= 0)
			shutdown(connection, SHUT_RDWR); /* ends recv; the worker closes it */
	}
	for (int i = 0; i < count; i++) {
		pthread_join(workers[i]->thread, NULL);
		close(workers[i]->pipe[0]);
		close(workers[i]->pipe[1]);
		free(workers[i]);
	}
	close(listener);
	return 0;
}
