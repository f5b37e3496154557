// Threads that wait for locks whose owners and times they know: locks hold|pi|file PATH|deadlock
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 12
#define THREADS 3
#define FILE_BYTES (64 << 20)

static pthread_mutex_t lock, second = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t together;
static int file, writer;

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void pause_ms(int ms)
{
	struct timespec t = {0, ms * 1000000L};

	nanosleep(&t, 0);
}

static int id(void)
{
	return syscall(SYS_gettid);
}

/* Say when this thread wanted the lock, had it, and was about to give it back. */
__attribute__((noinline)) void take_turns(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		long wanted = now(), got, done;

		pthread_mutex_lock(&lock);
		got = now();
		pause_ms(1 + i % 3);
		done = now();
		pthread_mutex_unlock(&lock);
		printf("%d %ld %ld %ld\n", id(), wanted, got, done);
	}
}

static void *turns(void *unused)
{
	pthread_barrier_wait(&together);
	take_turns();
	return unused;
}

/* A write of a file holds its f_pos_lock, a mutex of the kernel, to the end. */
static void *write_much(void *data)
{
	writer = id();
	pthread_barrier_wait(&together);
	if (write(file, data, FILE_BYTES) != FILE_BYTES)
		abort();
	return 0;
}

static void write_little(const char *path)
{
	char *data = malloc(FILE_BYTES);
	pthread_t thread;

	memset(data, 1, FILE_BYTES);
	file = open(path, O_RDWR | O_CREAT, 0600);
	pthread_barrier_init(&together, 0, 2);
	for (int i = 0; i < 6; i++) {
		long start, end;

		lseek(file, 0, SEEK_SET);
		if (ftruncate(file, 0))
			abort();
		pthread_create(&thread, 0, write_much, data);
		pthread_barrier_wait(&together);
		pause_ms(3);
		start = now();
		if (write(file, "x", 1) != 1)
			abort();
		end = now();
		pthread_join(thread, 0);
		printf("%d %d %ld %ld\n", id(), writer, start, end);
	}
}

static void *want_first(void *unused)
{
	pthread_mutex_lock(&second);
	printf("%d\n", id());
	fflush(stdout);
	pthread_barrier_wait(&together);
	pthread_mutex_lock(&lock);
	return unused;
}

static void deadlock(void)
{
	pthread_t thread;

	pthread_barrier_init(&together, 0, 2);
	pthread_mutex_lock(&lock);
	pthread_create(&thread, 0, want_first, 0);
	pthread_barrier_wait(&together);
	pthread_mutex_lock(&second);
}

int main(int count, char **words)
{
	const char *what = count > 1 ? words[1] : "";
	pthread_t threads[THREADS];
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	if (!strcmp(what, "pi"))
		pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&lock, &attributes);
	if (!strcmp(what, "file") && count > 2) {
		write_little(words[2]);
	} else if (!strcmp(what, "deadlock")) {
		deadlock();
	} else {
		pthread_barrier_init(&together, 0, THREADS);
		for (int i = 0; i < THREADS; i++)
			pthread_create(&threads[i], 0, turns, 0);
		for (int i = 0; i < THREADS; i++)
			pthread_join(threads[i], 0);
		printf("%p\n", (void *)&lock);
	}
}
