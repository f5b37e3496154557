// SPDX-License-Identifier: Apache-2.0
/* Programs that know exactly what they did: what a capture says of them can be checked. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "slow_api.h"

/* ---- burn: CPU time split 3:1 between two functions ---- */

#define SLICE_NS 1000000LL

/* A round of work takes 30 us. One that took this long was held up on the CPU: by interrupts, or
 * by a hypervisor that ran something else and did not say so. */
#define HELD_UP_NS 500000LL

static volatile uint64_t sink;

struct spent {
	long long all, held_up; /* CPU time, and what of it went to rounds that were held up */
};

/* Work until this thread has used so much more CPU time. */
static inline __attribute__((always_inline)) void spend(long long ns, struct spent *spent)
{
	long long begin = now_ns(CLOCK_THREAD_CPUTIME_ID), before, now = begin;
	uint64_t x = sink;

	do {
		before = now;
		for (int i = 0; i < 20000; i++)
			x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		sink = x;
		now = now_ns(CLOCK_THREAD_CPUTIME_ID);
		if (now - before > HELD_UP_NS)
			spent->held_up += now - before;
	} while (now - begin < ns);
	spent->all += now - begin;
}

FRAME static void burn_three(long long ns, struct spent *spent)
{
	spend(ns, spent);
	KEEP_FRAME();
}

FRAME static void burn_one(long long ns, struct spent *spent)
{
	spend(ns, spent);
	KEEP_FRAME();
}

/*
 * Slices have random lengths, or a sampler whose period divides theirs would see one function
 * only. What a slice overran by is taken off the next one of the same function.
 */
int burn(double seconds)
{
	long long total = (long long)(seconds * (double)NS_PER_S), planned = 0;
	struct spent three = {0}, one = {0};
	uint64_t random = 1;

	while (planned < total) {
		long long unit = SLICE_NS / 4 + (long long)(next_random(&random) % SLICE_NS);

		planned += 4 * unit;
		if (planned > total)
			planned = total;
		if (three.all < planned / 4 * 3)
			burn_three(planned / 4 * 3 - three.all, &three);
		if (one.all < planned / 4)
			burn_one(planned / 4 - one.all, &one);
	}
	printf("{\"burn_three\": %.9f, \"burn_one\": %.9f, "
	       "\"three_held_up\": %.9f, \"one_held_up\": %.9f}\n",
	       (double)three.all / 1e9, (double)one.all / 1e9, (double)three.held_up / 1e9,
	       (double)one.held_up / 1e9);
	return 0;
}

/* ---- calls: a known number of each ---- */

static bool first_entry = true;

static void report_calls(const char *name, const char *error, int number, long count)
{
	printf("%s\n  {\"syscall\": \"%s\", \"error\": \"%s\", \"errno\": %d, \"calls\": %ld}",
	       first_entry ? "" : ",", name, error, number, count);
	first_entry = false;
}

static void expect(const char *name, long result, int number)
{
	if (number ? result != -1 || errno != number : result < 0) {
		fprintf(stderr, "slow-api: %s did not do what it should: ", name);
		die("errno");
	}
}

/*
 * All through syscall(2), so that libc adds none. The loader and stdio add calls of their own,
 * but none that fails with these errors, and neither lseek, getppid nor readv.
 */
int known_calls(const struct options *o)
{
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC), ends[2];
	char bytes[7];
	const struct iovec vector = {bytes, sizeof(bytes)};

	if (zero < 0 || pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		die("prepare");
	for (long i = 0; i < o->enoent; i++)
		expect("openat", syscall(SYS_openat, AT_FDCWD, "/slow-api/missing", O_RDONLY, 0), ENOENT);
	for (long i = 0; i < o->ebadf; i++)
		expect("close", syscall(SYS_close, 12345), EBADF);
	for (long i = 0; i < o->eagain; i++)
		expect("read", syscall(SYS_read, ends[0], bytes, sizeof(bytes)), EAGAIN);
	for (long i = 0; i < o->einval; i++)
		expect("lseek", syscall(SYS_lseek, zero, 0, 99), EINVAL);
	for (long i = 0; i < o->getppid; i++)
		expect("getppid", syscall(SYS_getppid), 0);
	for (long i = 0; i < o->readv; i++)
		expect("readv", syscall(SYS_readv, zero, &vector, 1), 0);

	printf("{\"pid\": %d, \"readv_bytes\": %ld, \"calls\": [", getpid(),
	       o->readv * (long)sizeof(bytes));
	report_calls("openat", "ENOENT", ENOENT, o->enoent);
	report_calls("close", "EBADF", EBADF, o->ebadf);
	report_calls("read", "EAGAIN", EAGAIN, o->eagain);
	report_calls("lseek", "EINVAL", EINVAL, o->einval);
	report_calls("getppid", "", 0, o->getppid);
	report_calls("readv", "", 0, o->readv);
	printf("\n]}\n");
	return 0;
}

/* ---- sleep: each call measured with a clock that needs no system call (vdso) ---- */

struct timed_sleep {
	long long begin, taken; /* CLOCK_BOOTTIME */
	long long cpu;          /* CPU time of the call, and of the clocks around it */
	long voluntary, involuntary; /* context switches */
};

static void switches_so_far(struct timed_sleep *sleep, int sign)
{
	struct rusage used;

	if (getrusage(RUSAGE_THREAD, &used))
		die("getrusage");
	sleep->voluntary += sign * used.ru_nvcsw;
	sleep->involuntary += sign * used.ru_nivcsw;
}

int timed_sleeps(long count, long ns)
{
	const struct timespec length = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
	struct timed_sleep *sleeps = calloc((size_t)count + 1, sizeof(*sleeps));

	if (!sleeps)
		die("memory");
	for (long i = 0; i < count; i++) {
		struct timed_sleep *s = &sleeps[i];

		switches_so_far(s, -1);
		s->cpu = -now_ns(CLOCK_THREAD_CPUTIME_ID);
		s->begin = now_ns(CLOCK_BOOTTIME);
		if (syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &length, NULL))
			die("clock_nanosleep");
		s->taken = now_ns(CLOCK_BOOTTIME) - s->begin;
		s->cpu += now_ns(CLOCK_THREAD_CPUTIME_ID);
		switches_so_far(s, 1);
	}
	printf("[");
	for (long i = 0; i < count; i++)
		printf("%s{\"begin\": %lld, \"taken\": %lld, \"cpu\": %lld, \"voluntary\": %ld, "
		       "\"involuntary\": %ld}", i ? ",\n " : "", sleeps[i].begin, sleeps[i].taken,
		       sleeps[i].cpu, sleeps[i].voluntary, sleeps[i].involuntary);
	printf("]\n");
	free(sleeps);
	return 0;
}
