// SPDX-License-Identifier: Apache-2.0
/*
 * A client for the server of slow-api. Each thread draws its requests and the pauses between them
 * from its own seeded generator, so that two runs with one seed ask the same questions in the
 * same order. Every request is one send(), which makes requests easy to count from outside.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "slow_api.h"

#define REQUESTS_PER_CONNECTION 25
#define MAX_PAUSE_NS 16000000ULL
#define PATIENCE_S 10

static const struct { const char *path; unsigned percent; } MIX[] = {
	{"/fast", 70}, {"/report", 14}, {"/slow", 10}, {"/chatty", 6},
};
enum { ENDPOINTS = sizeof(MIX) / sizeof(*MIX) };

struct latencies { long long *ns; size_t count, room; };

struct client {
	pthread_t thread;
	const struct options *options;
	uint64_t random;
	long long until;                    /* CLOCK_MONOTONIC; 0: no limit */
	struct latencies taken[ENDPOINTS];
	long failed;
	char answer[131072];
};

static atomic_long started; /* requests, by all threads */

static void remember(struct latencies *l, long long ns)
{
	if (l->count == l->room) {
		l->room = l->room ? 2 * l->room : 256;
		l->ns = realloc(l->ns, l->room * sizeof(*l->ns));
		if (!l->ns)
			die("memory for latencies");
	}
	l->ns[l->count++] = ns;
}

static int connect_to(long port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	int one = 1, connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connection < 0)
		die("socket");
	setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(connection, (struct sockaddr *)&address, sizeof(address))) {
		close(connection);
		return -1;
	}
	return connection;
}

/* Read one answer to its last byte; false: closed early, timed out, or not 200. */
static bool read_answer(struct client *c, int connection)
{
	size_t have = 0, want = 0;

	while (have < sizeof(c->answer) - 1) {
		ssize_t got = recv(connection, c->answer + have, sizeof(c->answer) - 1 - have, 0);
		char *end, *length;

		if (got <= 0)
			return false;
		have += (size_t)got;
		c->answer[have] = 0;
		end = want ? NULL : strstr(c->answer, "\r\n\r\n");
		if (end) {
			length = strstr(c->answer, "Content-Length: ");
			if (!length || length > end)
				return false;
			want = (size_t)(end + 4 - c->answer) + strtoul(length + 16, NULL, 10);
		}
		if (want && have >= want)
			return have == want && !strncmp(c->answer, "HTTP/1.1 200 ", 13);
	}
	return false;
}

static int draw_endpoint(uint64_t *random)
{
	unsigned drawn = (unsigned)(next_random(random) % 100);
	int endpoint = 0;

	while (drawn >= MIX[endpoint].percent)
		drawn -= MIX[endpoint++].percent;
	return endpoint;
}

static bool ask(struct client *c, int connection, int endpoint)
{
	long long begin = now_ns(CLOCK_MONOTONIC);
	char request[128];
	int length = snprintf(request, sizeof(request),
			      "GET %s?seed=%u HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
			      MIX[endpoint].path, (unsigned)next_random(&c->random) % 1000);

	if (send(connection, request, (size_t)length, MSG_NOSIGNAL) != length
	    || !read_answer(c, connection))
		return false;
	remember(&c->taken[endpoint], now_ns(CLOCK_MONOTONIC) - begin);
	return true;
}

static void *drive(void *argument)
{
	struct client *c = argument;
	int connection = -1;

	set_name("api-client");
	for (long asked = 0;; asked++) {
		int endpoint = draw_endpoint(&c->random);
		struct timespec pause = {.tv_nsec = (long)(next_random(&c->random) % MAX_PAUSE_NS)};

		if (c->until && now_ns(CLOCK_MONOTONIC) >= c->until)
			break;
		if (c->options->requests && atomic_fetch_add(&started, 1) >= c->options->requests)
			break;
		nanosleep(&pause, NULL);
		if (connection < 0)
			connection = connect_to(c->options->port);
		if (connection < 0 || !ask(c, connection, endpoint)) {
			c->failed++;
			if (connection < 0) {
				perror("slow-api: connect");
				break;
			}
		} else if ((asked + 1) % REQUESTS_PER_CONNECTION) {
			continue;
		}
		close(connection);
		connection = -1;
	}
	if (connection >= 0)
		close(connection);
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;

	return (x > y) - (x < y);
}

/* Nearest-rank percentile of sorted values, in milliseconds. */
static double percentile(const struct latencies *l, unsigned percent)
{
	return l->count ? (double)l->ns[(l->count - 1) * percent / 100] / 1e6 : 0;
}

static void summarise(struct latencies *all, long failed, double seconds, const char *json,
		      FILE *out)
{
	FILE *file = json ? fopen(json, "w") : NULL;
	size_t total = 0;

	if (json && !file)
		die(json);
	for (int e = 0; e < ENDPOINTS; e++) {
		total += all[e].count;
		qsort(all[e].ns, all[e].count, sizeof(*all[e].ns), by_value);
	}
	fprintf(out, "%zu requests in %.1f s, %ld failed\n", total, seconds, failed);
	fprintf(out, "%-10s %8s %9s %9s %9s %9s\n", "endpoint", "requests", "p50 ms", "p90 ms", "p99 ms",
		"max ms");
	if (file)
		fprintf(file, "{\"requests\": %zu, \"failed\": %ld, \"seconds\": %.3f, \"endpoints\": [",
			total, failed, seconds);
	for (int e = 0; e < ENDPOINTS; e++) {
		const struct latencies *l = &all[e];

		fprintf(out, "%-10s %8zu %9.2f %9.2f %9.2f %9.2f\n", MIX[e].path, l->count,
			percentile(l, 50), percentile(l, 90), percentile(l, 99), percentile(l, 100));
		if (file)
			fprintf(file, "%s{\"path\": \"%s\", \"requests\": %zu, \"p50_ms\": %.3f, "
				"\"p90_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f}", e ? ", " : "",
				MIX[e].path, l->count, percentile(l, 50), percentile(l, 90),
				percentile(l, 99), percentile(l, 100));
	}
	if (file && (fprintf(file, "]}\n") < 0 || fclose(file)))
		die(json);
}

int load(const struct options *o)
{
	long long begin = now_ns(CLOCK_MONOTONIC);
	struct client *clients = calloc((size_t)o->clients, sizeof(*clients));
	struct latencies all[ENDPOINTS] = {0};
	long failed = 0;
	FILE *out;

	if (!clients)
		die("memory for clients");
	set_name("api-client");
	for (long i = 0; i < o->clients; i++) {
		struct client *c = &clients[i];

		c->options = o;
		c->random = (uint64_t)o->seed * 1000 + (uint64_t)i;
		c->until = o->requests ? 0 : begin + (long long)(o->seconds * (double)NS_PER_S);
		errno = pthread_create(&c->thread, NULL, drive, c);
		if (errno)
			die("pthread_create");
	}
	for (long i = 0; i < o->clients; i++) {
		pthread_join(clients[i].thread, NULL);
		failed += clients[i].failed;
		for (int e = 0; e < ENDPOINTS; e++) {
			for (size_t n = 0; n < clients[i].taken[e].count; n++)
				remember(&all[e], clients[i].taken[e].ns[n]);
			free(clients[i].taken[e].ns);
		}
	}
	free(clients);
	out = o->quiet ? fopen("/dev/null", "w") : stdout;
	if (!out)
		die("/dev/null");
	summarise(all, failed, (double)(now_ns(CLOCK_MONOTONIC) - begin) / 1e9, o->json, out);
	for (int e = 0; e < ENDPOINTS; e++)
		free(all[e].ns);
	return failed ? 1 : 0;
}
