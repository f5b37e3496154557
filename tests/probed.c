/* Does an exactly known amount of calls, for the truth tests of the user's own probes. */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define QUIET __attribute__((noinline, noclone, noipa))

enum colour { RED, GREEN = 5, BLUE = -1 };
struct inner {
	int a;
	long b;
	char name[16];
	struct inner *next;
};
struct outer {
	struct inner *in;
	unsigned char flag;
	short s;
	unsigned low : 3, mid : 7;
	int top : 5;
	union {
		int first;
		unsigned char bytes[4];
	};
	const char *label;
	int numbers[4];
};

QUIET long widths(signed char a, short b, int c, long d, unsigned char e, unsigned short f,
		  unsigned g, unsigned long h)
{
	asm volatile("");
	return a + b + c + d + e + f + g + h;
}
QUIET int look(const struct outer *o, enum colour colour, bool yes)
{
	asm volatile("");
	return o ? o->in->a + colour + yes : -1;
}
QUIET const char *say(const char *text) { asm volatile(""); return text; }
QUIET double real(double x, int n) { asm volatile(""); return x * n; }
QUIET void nothing(void) { asm volatile(""); }
QUIET long factorial(long n) { long r = n < 2 ? 1 : n * factorial(n - 1); asm volatile(""); return r; }
QUIET int work(int thread, int i) { asm volatile(SDT("probed", "work", "0", "-4@%%edi -4@%%esi") :: "D"(thread), "S"(i)); return i * 2; }
QUIET int other(long thread, long i) { asm volatile(SDT("probed", "work", "0", "-8@%%rcx -4@%%edx") :: "c"(thread), "d"((int)i)); return 0; }
QUIET void doze(long us) { struct timespec t = { 0, us * 1000 }; nanosleep(&t, 0); }

static int calls;
static void *volatile kept;
static void *thread(void *number)
{
	for (int i = 0; i < calls; i++)
		work((int)(long)number, i);
	return 0;
}

int main(int argc, char **argv)
{
	struct inner last = { 7, -8, "last", 0 }, in = { -3, 1L << 40, "inner name", &last };
	struct outer o = { &in, 200, -300, 5, 100, -2, { 0x04030201 }, "a label", { 10, 20, 30, 40 } };
	const char *what = argc > 1 ? argv[1] : "";

	calls = argc > 2 ? atoi(argv[2]) : 0;
	if (!strcmp(what, "values")) {
		widths(-1, -2, -3, -4, 255, 65535, 4294967295U, 18446744073709551615UL);
		widths(1, 2, 3, 4, 5, 6, 7, 8);
		look(&o, GREEN, true);
		look(0, BLUE, false);
		say("hello w\xc3\xb6rld");
		say("not \xff text");
		say((const char *)16);
		say("");
		real(2.5, 3);
		nothing();
	} else if (!strcmp(what, "recursion")) {
		for (int i = 0; i < calls; i++)
			factorial(i % 20 + 1);
	} else if (!strcmp(what, "threads")) {
		pthread_t threads[4];

		for (long i = 0; i < 4; i++)
			pthread_create(&threads[i], 0, thread, (void *)i);
		for (int i = 0; i < 4; i++)
			pthread_join(threads[i], 0);
	} else if (!strcmp(what, "static")) {
		for (int i = 0; i < calls; i++) {
			work(1, -i);
			other(-5000000000L, i);
		}
	} else if (!strcmp(what, "doze")) {
		for (int i = 0; i < calls; i++)
			doze(1000 * (i + 1));
	} else if (!strcmp(what, "rounds")) {
		char line[8];

		do {
			puts("ready");
			fflush(stdout);
			for (int i = 0; i < calls; i++)
				work(9, i);
		} while (fgets(line, sizeof(line), stdin));
	} else if (!strcmp(what, "memory")) {
		for (int i = 0; i < calls; i++)
			free(kept = malloc(10000 + i));
	}
	return 0;
}
