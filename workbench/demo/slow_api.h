/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow-api: the workload that the workbench brings along.
 *
 *   main.c    modes, options, and `demo`: one server and one client that end together
 *   server.c  HTTP/1.1 on the loopback interface; /fast, /slow, /report, /chatty
 *   client.c  a fixed, seeded mix of requests, and a summary of what they took
 *   truth.c   programs that know exactly what they did: burn, calls, sleep
 */
#ifndef SLOW_API_H
#define SLOW_API_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Functions that a flamegraph shows must stay functions: no inlining, no clones, no renaming. */
#ifdef __clang__
#define FRAME __attribute__((noinline))
#else
#define FRAME __attribute__((noipa))
#endif

/* gcc leaves leaf functions without a frame, whatever the flags say, unless something uses it; a
 * sample in one would then miss its caller. */
#define KEEP_FRAME() __asm__ volatile("" : : "r"(__builtin_frame_address(0)))

#define NS_PER_S 1000000000LL

struct options {
	/* demo, serve, load */
	double seconds;      /* end after this long; 0: no limit */
	long requests;       /* end after this many requests; 0: no limit */
	long port;           /* 0: the kernel chooses (serve) */
	long workers;        /* threads of the server */
	long clients;        /* threads of the client */
	long seed;           /* of the mix of requests and of the pauses between them */
	const char *json;    /* also write the summary as JSON to this file */
	bool quiet;          /* do not print it */
	/* calls */
	long enoent, ebadf, eagain, einval; /* failing calls, by errno */
	long getppid, readv;                /* succeeding calls */
	/* sleep */
	long count;          /* number of clock_nanosleep calls */
	long ns;             /* length of each */
};

/* main.c */
long long now_ns(clockid_t clock);
uint64_t next_random(uint64_t *state);
void set_name(const char *name); /* thread name, as in /proc/TID/comm */
_Noreturn void die(const char *what); /* "slow-api: WHAT: strerror(errno)", exit code 1 */

/* server.c */
int open_listener(long port, long *bound); /* loopback only */
sigset_t hold_end_signals(void); /* SIGINT and SIGTERM wait for serve() */
int serve(int listener, long workers);     /* until SIGTERM or SIGINT; returns an exit code */

/* client.c */
int load(const struct options *options); /* returns an exit code */

/* truth.c */
int burn(double seconds);
int known_calls(const struct options *options);
int timed_sleeps(long count, long ns);

#endif
