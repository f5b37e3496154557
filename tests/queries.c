/* Stands in for a database with USDT probes: so many queries of a known time.
 *
 *     queries COUNT MS     each of COUNT queries sleeps MS milliseconds; then it ends
 *     queries              waits, for those who look for its probes
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define QUIET __attribute__((noinline, noclone, noipa))
#ifdef __aarch64__
#define FIRST "-8@x0"
#else
#define FIRST "-8@%%rdi"
#endif

QUIET void started(const char *text)
{
#ifdef __aarch64__
	register const char *first asm("x0") = text;
	asm volatile(SDT("mysql", "query__start", "0", FIRST) ::"r"(first));
#else
	asm volatile(SDT("mysql", "query__start", "0", FIRST) ::"D"(text));
#endif
}
QUIET void done(void) { asm volatile(SDT("mysql", "query__done", "0", "")); }

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 0;
	struct timespec time = { 0, argc > 2 ? atol(argv[2]) * 1000000L : 0 };
	char text[32];

	for (int i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "select %d", i);
		started(text);
		nanosleep(&time, 0);
		done();
	}
	if (argc == 1)
		pause();
	return 0;
}
