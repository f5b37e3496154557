/* Chains of functions without frame pointers, for the tests of stacks: `chains MODE SECONDS`, of
 * CPU time: a busy machine gives a sampler as many samples, later.
 *
 * Every mode runs main → one → two → three and there what its name says. Compiled with
 * -O2 -fomit-frame-pointer. */
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <elf.h>
#include <link.h>
#include <sys/time.h>

#define CHAIN extern "C" __attribute__((noinline, noclone))
#define AFTER asm volatile("" ::: "memory") /* no tail call */

extern "C" long far_away(long n); /* of a library, called through the PLT */

static volatile long sink;
static double deadline;
static const char *mode;
extern "C" void *_GLOBAL_OFFSET_TABLE_[];

CHAIN double now()
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

CHAIN void spin(long n)
{
	for (long i = 0; i < n; i++)
		sink += i * i % 7;
}

CHAIN void throwing(int depth)
{
	if (!depth)
		throw std::runtime_error("on purpose");
	throwing(depth - 1);
	AFTER;
}

CHAIN void catching()
{
	try {
		throwing(10);
	} catch (const std::exception &error) {
		sink += strlen(error.what());
	}
}

CHAIN void handler(int)
{
	spin(2000000);
	AFTER;
}

/* Interrupted at any instruction: two signals a millisecond. */
CHAIN void interrupted()
{
	raise(SIGUSR1);
	spin(1000);
}

/* Realigns its stack and has a frame of variable size: the CFA lies in the frame. */
CHAIN __attribute__((target("avx2"))) void aligned(int n)
{
	alignas(64) volatile double wide[16];
	char *extra = static_cast<char *>(alloca(n));

	memset(extra, n, n);
	for (int i = 0; i < 1000; i++)
		wide[i & 15] = wide[(i + 1) & 15] * 1.5 + extra[i % n];
	spin(1000);
	AFTER;
}

CHAIN void large()
{
	volatile char frame[100 << 10];

	for (unsigned i = 0; i < sizeof(frame); i += 512)
		frame[i] = i;
	spin(1000);
	AFTER;
}

CHAIN void deep(int n)
{
	if (n)
		deep(n - 1);
	else
		spin(20000); /* far longer than the way there */
	AFTER;
}

CHAIN void brief_handler(int)
{
	spin(100000);
	AFTER;
}

/* The slot of .got.plt through which far_away is called: what it holds is put back before each
 * call, so that each call binds it anew. */
CHAIN void **slot_of_far_away(void **unbound)
{
	std::vector<void *> before;
	size_t count = 3;

	for (ElfW(Dyn) *entry = _DYNAMIC; entry->d_tag != DT_NULL; entry++)
		if (entry->d_tag == DT_PLTRELSZ)
			count += entry->d_un.d_val / sizeof(ElfW(Rela));
	before.assign(_GLOBAL_OFFSET_TABLE_, _GLOBAL_OFFSET_TABLE_ + count);
	sink += far_away(1);
	for (size_t i = 3; i < count; i++)
		if (_GLOBAL_OFFSET_TABLE_[i] != before[i]) {
			*unbound = before[i];
			return &_GLOBAL_OFFSET_TABLE_[i];
		}
	abort();
}

CHAIN void binding()
{
	static void *unbound, *volatile *slot = slot_of_far_away(&unbound);

	for (int i = 0; i < 1000; i++) {
		*slot = unbound;
		sink += far_away(i);
	}
	AFTER;
}

CHAIN void work()
{
	std::string what = mode;

	if (what == "plain")
		spin(1000);
	else if (what == "exceptions")
		catching();
	else if (what == "signals" || what == "alternate")
		interrupted();
	else if (what == "aligned")
		aligned(64 + sink % 100);
	else if (what == "large")
		large();
	else if (what == "lazy" || what == "lazy_signals")
		binding();
	else if (what == "deep")
		deep(200);
	else if (what == "deeper")
		deep(400);
	else if (what == "vdso")
		for (int i = 0; i < 1000; i++)
			now();
	else if (what == "plt")
		for (int i = 0; i < 1000; i++)
			sink += far_away(i);
	AFTER;
}

/* CPU time of the process. */
CHAIN double used()
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

CHAIN void three()
{
	while (used() < deadline)
		work();
	AFTER;
}

CHAIN void two()
{
	three();
	AFTER;
}

CHAIN void one()
{
	two();
	AFTER;
}

CHAIN void thread_main()
{
	mode = "plain";
	one();
	AFTER;
}

static void handle(bool alternate)
{
	struct sigaction action = {};
	stack_t stack = {};

	action.sa_handler = handler;
	if (alternate) {
		stack.ss_size = 1 << 16;
		stack.ss_sp = malloc(stack.ss_size);
		sigaltstack(&stack, nullptr);
		action.sa_flags = SA_ONSTACK;
	}
	sigaction(SIGUSR1, &action, nullptr);
}

/* A signal each millisecond. */
static void interrupt_often()
{
	struct sigaction action = {};
	struct itimerval often = {{0, 1000}, {0, 1000}};

	action.sa_handler = brief_handler;
	action.sa_flags = SA_RESTART;
	sigaction(SIGALRM, &action, nullptr);
	setitimer(ITIMER_REAL, &often, nullptr);
}

int main(int argc, char **argv)
{
	mode = argc > 1 ? argv[1] : "plain";
	deadline = argc > 2 ? atof(argv[2]) : 1;
	handle(!strcmp(mode, "alternate"));
	if (!strcmp(mode, "lazy_signals"))
		interrupt_often();
	if (!strcmp(mode, "threads")) {
		std::vector<std::thread> threads;
		for (int i = 0; i < 3; i++)
			threads.emplace_back(thread_main);
		for (auto &thread : threads)
			thread.join();
	} else {
		one();
	}
	AFTER;
	return 0;
}
