// SPDX-License-Identifier: Apache-2.0
/* Modes and options of slow-api; `demo` runs one server and one client that end together. */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "slow_api.h"

static const char USAGE[] =
	"usage: slow-api MODE [OPTIONS]\n"
	"\n"
	"  demo   [--seconds 5] [--requests N] [--seed 1] [--json FILE] [--quiet]\n"
	"                                                              server and client\n"
	"  serve  [--port 0] [--workers 4]                                until SIGTERM\n"
	"  load   --port P [--seconds 5] [--requests N] [--clients 3] [--seed 1] [--json FILE]\n"
	"  burn   [--seconds 5]                       CPU time split 3:1 between two functions\n"
	"  calls  [--enoent 137] [--ebadf 41] [--eagain 23] [--einval 7] [--getppid 1000]\n"
	"         [--readv 500]                       an exact number of system calls\n"
	"  sleep  [--count 100] [--ns 1000000]        sleeps, each measured\n";

long long now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* splitmix64 (Steele, Lea, Flood 2014): every seed is a good one. */
uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

void set_name(const char *name)
{
	prctl(PR_SET_NAME, name, 0, 0, 0);
}

_Noreturn void die(const char *what)
{
	fprintf(stderr, "slow-api: %s: %s\n", what, strerror(errno));
	exit(1);
}

static _Noreturn void usage_error(const char *what, const char *value)
{
	fprintf(stderr, "slow-api: %s: %s\n%s", what, value, USAGE);
	exit(2);
}

static double number(const char *name, const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= 0 && value <= 1e12))
		usage_error(name, text);
	return value;
}

static void parse(int argc, char **argv, struct options *o)
{
	const struct { const char *name; long *to; } integers[] = {
		{"requests", &o->requests}, {"port", &o->port},       {"workers", &o->workers},
		{"clients", &o->clients},   {"seed", &o->seed},       {"enoent", &o->enoent},
		{"ebadf", &o->ebadf},       {"eagain", &o->eagain},   {"einval", &o->einval},
		{"getppid", &o->getppid},   {"readv", &o->readv},     {"count", &o->count},
		{"ns", &o->ns},
	};
	enum { COUNT = sizeof(integers) / sizeof(*integers) };
	struct option known[COUNT + 4] = {0};
	int at = 0, got;

	for (int i = 0; i < COUNT; i++)
		known[i] = (struct option){integers[i].name, required_argument, NULL, 0};
	known[COUNT] = (struct option){"seconds", required_argument, NULL, 0};
	known[COUNT + 1] = (struct option){"json", required_argument, NULL, 0};
	known[COUNT + 2] = (struct option){"quiet", no_argument, NULL, 0};
	opterr = 0;
	while ((got = getopt_long(argc, argv, "", known, &at)) != -1) {
		if (got)
			usage_error("unknown argument, or no value", argv[optind - 1]);
		if (at < COUNT)
			*integers[at].to = (long)number(known[at].name, optarg);
		else if (at == COUNT)
			o->seconds = number(known[at].name, optarg);
		else if (at == COUNT + 1)
			o->json = optarg;
		else
			o->quiet = true;
	}
	if (optind < argc)
		usage_error("unknown argument", argv[optind]);
	if (o->port > 65535)
		usage_error("port", "more than 65535");
	if (o->workers < 1 || o->workers > 64 || o->clients < 1 || o->clients > 64)
		usage_error("workers, clients", "1 to 64");
}

/* Fork a child that dies with its parent, however that one ends. */
static pid_t fork_dependent(pid_t parent)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
	}
	return pid;
}

static int exit_code(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/*
 * Server and client as children of this process. The client ends by itself; then, or when a
 * signal arrives, both are told to end. Returns when both have.
 */
static int demo(struct options *o)
{
	const struct timespec patience = {.tv_sec = 5};
	pid_t parent = getpid(), server, client;
	int listener = open_listener(0, &o->port), status, signal, code = 0;
	sigset_t set, before;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &before);
	fflush(NULL);
	server = fork_dependent(parent);
	if (server == 0)
		exit(serve(listener, o->workers));
	client = fork_dependent(parent);
	if (client == 0) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		close(listener);
		exit(load(o));
	}
	close(listener);

	for (bool ending = false; server || client;) {
		if (server && waitpid(server, &status, WNOHANG) == server) {
			code = code ? code : exit_code(status);
			server = 0;
		}
		if (client && waitpid(client, &status, WNOHANG) == client) {
			code = code ? code : exit_code(status);
			client = 0;
		}
		if (!ending && !(server && client)) {
			ending = true;
			if (server)
				kill(server, SIGTERM);
			if (client)
				kill(client, SIGTERM);
		}
		if (!server && !client)
			break;
		signal = sigtimedwait(&set, NULL, ending ? &patience : NULL);
		if (signal == SIGINT || signal == SIGTERM) {
			code = 128 + signal;
			ending = true;
			if (server)
				kill(server, SIGTERM);
			if (client)
				kill(client, SIGTERM);
		} else if (signal < 0 && errno == EAGAIN) { /* patience is at its end */
			code = code ? code : 1;
			if (server)
				kill(server, SIGKILL);
			if (client)
				kill(client, SIGKILL);
		}
	}
	return code;
}

int main(int argc, char **argv)
{
	struct options o = {
		.seconds = 5, .workers = 4, .clients = 3, .seed = 1,
		.enoent = 137, .ebadf = 41, .eagain = 23, .einval = 7, .getppid = 1000, .readv = 500,
		.count = 100, .ns = 1000000,
	};
	const char *mode = argc > 1 ? argv[1] : "";
	int listener;

	if (!strcmp(mode, "") || !strcmp(mode, "-h") || !strcmp(mode, "--help")) {
		fputs(USAGE, *mode ? stdout : stderr);
		return *mode ? 0 : 2;
	}
	parse(argc - 1, argv + 1, &o);
	set_name("slow-api");
	if (!strcmp(mode, "demo"))
		return demo(&o);
	if (!strcmp(mode, "serve")) {
		hold_end_signals(); /* before the line that says "ready": who reads it may end us at once */
		listener = open_listener(o.port, &o.port);
		printf("slow-api: listening on http://127.0.0.1:%ld\n", o.port);
		fflush(stdout);
		return serve(listener, o.workers);
	}
	if (!strcmp(mode, "load") && !o.port)
		usage_error("load", "needs --port");
	if (!strcmp(mode, "load"))
		return load(&o);
	if (!strcmp(mode, "burn"))
		return burn(o.seconds);
	if (!strcmp(mode, "calls"))
		return known_calls(&o);
	if (!strcmp(mode, "sleep"))
		return timed_sleeps(o.count, o.ns);
	usage_error("unknown mode", mode);
}
