/* Chains of functions without frame pointers, for the tests of stacks: `chains MODE SECONDS`.
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

#define CHAIN extern "C" __attribute__((noinline, noclone))
#define AFTER asm volatile("" ::: "memory") /* no tail call */

extern "C" long far_away(long n); /* of a library, called through the PLT */

static volatile long sink;
static double deadline;
static const char *mode;

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
		spin(1000);
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
	else if (what == "deep")
		deep(80);
	else if (what == "deeper")
		deep(200);
	else if (what == "vdso")
		for (int i = 0; i < 1000; i++)
			now();
	else if (what == "plt")
		for (int i = 0; i < 1000; i++)
			sink += far_away(i);
	AFTER;
}

CHAIN void three()
{
	while (now() < deadline)
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

int main(int argc, char **argv)
{
	mode = argc > 1 ? argv[1] : "plain";
	deadline = now() + (argc > 2 ? atof(argv[2]) : 1);
	handle(!strcmp(mode, "alternate"));
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
