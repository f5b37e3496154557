// Two threads that wake each other through pipes, and count how often they left the CPU.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static int ping[2], pong[2];
static long rounds;
static struct { int tid; long voluntary, involuntary; } told[2];

#define STEP(name, call, fd) \
	__attribute__((noinline)) void name(void) { char c = 0; if (call(fd, &c, 1) != 1) abort(); __asm__(""); }
STEP(wait_for_ping, read, ping[0])
STEP(wait_for_pong, read, pong[0])
STEP(send_ping, write, ping[1])
STEP(send_pong, write, pong[1])

static void tell(int who, int sign)
{
	struct rusage used;

	getrusage(RUSAGE_THREAD, &used);
	told[who].tid = syscall(SYS_gettid);
	told[who].voluntary += sign * used.ru_nvcsw;
	told[who].involuntary += sign * used.ru_nivcsw;
}

static void *other(void *unused)
{
	for (long i = 0; i < rounds; i++) {
		wait_for_ping();
		send_pong();
	}
	tell(1, 1);
	return unused;
}

int main(int count, char **words)
{
	pthread_t thread;

	tell(0, -1); // the process has been held before it was executed
	rounds = count > 1 ? atol(words[1]) : 1000;
	if (pipe(ping) || pipe(pong) || pthread_create(&thread, 0, other, 0))
		return 1;
	for (long i = 0; i < rounds; i++) {
		send_ping();
		wait_for_pong();
	}
	tell(0, 1);
	pthread_join(thread, 0);
	for (int i = 0; i < 2; i++)
		printf("%d %ld %ld\n", told[i].tid, told[i].voluntary, told[i].involuntary);
}
