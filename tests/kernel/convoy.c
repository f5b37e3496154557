// One thread holds a lock for known times, another one waits for it and says how long it did: for
// each wait, before and after it, the boot clock, its CPU time, and its voluntary and involuntary
// switches. The first line is the thread that holds the lock.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t held;
static int owner;

struct reading {
	long now, cpu, voluntary, involuntary;
};

static long ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static struct reading take(void)
{
	struct reading r;
	struct rusage used;

	getrusage(RUSAGE_THREAD, &used);
	r.voluntary = used.ru_nvcsw;
	r.involuntary = used.ru_nivcsw;
	r.now = ns(CLOCK_BOOTTIME);
	r.cpu = ns(CLOCK_THREAD_CPUTIME_ID);
	return r;
}

static void print(struct reading r, const char *behind)
{
	printf("%ld %ld %ld %ld%s", r.now, r.cpu, r.voluntary, r.involuntary, behind);
}

__attribute__((noinline)) void hold(int ms)
{
	struct timespec t = {0, ms * 1000000L};

	nanosleep(&t, 0);
	__asm__("");
}

__attribute__((noinline)) void give_back(void)
{
	pthread_mutex_unlock(&lock);
	__asm__("");
}

__attribute__((noinline)) void want(void)
{
	pthread_mutex_lock(&lock);
	__asm__("");
}

static void *holder(void *rounds)
{
	owner = syscall(SYS_gettid);
	for (long i = 0; i < (long)rounds; i++) {
		pthread_mutex_lock(&lock);
		pthread_barrier_wait(&held);
		hold(2 + i % 5);
		give_back();
		pthread_barrier_wait(&held);
	}
	return 0;
}

int main(int count, char **words)
{
	long rounds = count > 1 ? atol(words[1]) : 30;
	pthread_t thread;

	pthread_barrier_init(&held, 0, 2);
	pthread_create(&thread, 0, holder, (void *)rounds);
	for (long i = 0; i < rounds; i++) {
		struct reading start, end;

		pthread_barrier_wait(&held);
		start = take();
		want();
		end = take();
		pthread_mutex_unlock(&lock);
		pthread_barrier_wait(&held);
		if (!i)
			printf("%d\n", owner);
		print(start, " ");
		print(end, "\n");
	}
	pthread_join(thread, 0);
}
