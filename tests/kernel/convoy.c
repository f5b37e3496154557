// One thread holds a lock for known times, another one waits for it and says how long it did.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t held;
static int owner;

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
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
		long start, end;

		pthread_barrier_wait(&held);
		start = now();
		want();
		end = now();
		pthread_mutex_unlock(&lock);
		pthread_barrier_wait(&held);
		printf("%ld %ld %d\n", start, end, owner);
	}
	pthread_join(thread, 0);
}
