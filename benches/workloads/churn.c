/* churn PAIRS FILE [wait]: calls malloc() and free() so often, with 1000 blocks live, and writes the
 * CPU time of a pair in ns to the file. Waits for a line on its input before it begins. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LIVE 1000

static void *blocks[LIVE];

__attribute__((noinline)) static void churn(long pairs)
{
	unsigned int chance = 1;

	for (long i = 0; i < pairs; i++) {
		chance = chance * 1103515245 + 12345; /* ISO C, rand() */
		unsigned int slot = (chance >> 8) % LIVE;

		free(blocks[slot]);
		blocks[slot] = malloc(16 + (chance >> 20) % 500);
	}
}

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv)
{
	long pairs = argc > 2 ? atol(argv[1]) : 0;
	char line[16];

	if (!pairs)
		return 2;
	churn(10 * LIVE);
	if (argc > 3) {
		puts("ready");
		fflush(stdout);
		if (!fgets(line, sizeof(line), stdin))
			return 1;
	}
	double start = cpu_ns();
	churn(pairs);
	double end = cpu_ns();

	FILE *file = fopen(argv[2], "w");
	if (!file)
		return 1;
	fprintf(file, "%.1f\n", (end - start) / pairs);
	return fclose(file);
}
