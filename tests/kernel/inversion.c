/* Takes two locks in one order, then another thread takes them in the other, and tells where they
 * are: LOCK LOCK THREAD THREAD, into the file of its first argument. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER, two = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t *const orders[2][2] = { { &one, &two }, { &two, &one } };
static int threads[2];

static void *take(void *order)
{
	pthread_mutex_t *const *locks = order;

	threads[locks[0] == &two] = gettid();
	for (int i = 0; i < 100; i++) {
		pthread_mutex_lock(locks[0]);
		pthread_mutex_lock(locks[1]);
		pthread_mutex_unlock(locks[1]);
		pthread_mutex_unlock(locks[0]);
	}
	return 0;
}

int main(int argc, char **argv)
{
	FILE *out = fopen(argv[argc - 1], "w");

	for (int i = 0; i < 2; i++) {
		pthread_t thread;

		pthread_create(&thread, 0, take, (void *)orders[i]);
		pthread_join(thread, 0);
	}
	fprintf(out, "%zu %zu %d %d\n", (size_t)&one, (size_t)&two, threads[0], threads[1]);
	return fclose(out);
}
