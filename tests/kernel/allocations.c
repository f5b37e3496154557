/* Memory work that is known to the byte: allocations [threads [forks [seconds]]]. Children wait so
 * long before they begin.
 *
 * Each round of work() leaks 100 bytes from leak(), and allocates and frees 103 times by all
 * functions there are. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 300
#define MAPPED (1 << 20)

static void *volatile kept;

__attribute__((noinline)) void leak(void)
{
	kept = malloc(100);
	memset(kept, 1, 100);
}

__attribute__((noinline)) void churn(void)
{
	for (int i = 0; i < 50; i++) {
		char *volatile p = malloc(64 + i);

		p = realloc(p, 500 + i);
		free(p);
	}
}

__attribute__((noinline)) void aligned(void)
{
	void *volatile p;
	void *q;

	if (posix_memalign(&q, 64, 777))
		abort();
	free(q);
	p = aligned_alloc(64, 640);
	free(p);
	p = calloc(7, 11);
	free(p);
}

/* By mmap and mremap below the allocator. */
__attribute__((noinline)) void large(void)
{
	char *volatile p = malloc(3000000);

	p = realloc(p, 5000000);
	free(p);
}

__attribute__((noinline)) void touch(void)
{
	char *p = mmap(0, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	madvise(p, MAPPED, MADV_NOHUGEPAGE);
	for (int i = 0; i < MAPPED; i += 4096)
		p[i] = 1;
	munmap(p, MAPPED);
}

static void *work(void *unused)
{
	for (int i = 0; i < ROUNDS; i++) {
		leak();
		churn();
		aligned();
	}
	large();
	return unused;
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 0, forks = argc > 2 ? atoi(argv[2]) : 0;
	int seconds = argc > 3 ? atoi(argv[3]) : 3;
	static pthread_t thread[64];

	for (int i = 0; i < threads; i++)
		pthread_create(&thread[i], 0, work, 0);
	for (int i = 0; i < threads; i++)
		pthread_join(thread[i], 0);
	for (int i = 0; i < forks; i++) {
		if (!fork()) {
			sleep(seconds);
			work(0);
			_exit(0);
		}
		wait(0);
	}
	if (!threads && !forks)
		work(0);
	touch();
	return 0;
}
