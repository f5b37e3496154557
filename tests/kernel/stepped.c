/* Runs machine code of its own one instruction at a time, and tells the stack at each.
 *
 * The parent traces the child and keeps the return addresses that calls push and returns take: a
 * line for each step, leaf first. Code without names is told by its address (of a caller, that
 * before its return address), the C function that it calls as "leafy". Below is `enter`. It begins
 * when it reads a line, and ends when its input does; the lines are those of the first round.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
#define CODE 2048 /* where the code of a JIT with frame pointers begins in its page */

static unsigned char *frames, *python; /* two mappings */

__attribute__((noinline)) void leafy(void) { __asm__ volatile("nop\n\tnop"); }
void leafy_end(void) {}

__attribute__((noinline)) void enter(void *entry, void *fourth)
{
	((void (*)(void *, void *, void *, void *))entry)(0, 0, 0, fourth);
	__asm__ volatile("nop");
}

static unsigned char *put(unsigned char *at, const char *bytes, size_t size)
{
	memcpy(at, bytes, size);
	return at + size;
}
#define PUT(at, bytes) put(at, bytes, sizeof(bytes) - 1)

static unsigned char *put_call_of_leafy(unsigned char *at)
{
	void *target = leafy;

	at = PUT(at, "\x48\xb8"); /* movabs, call *%rax */
	memcpy(at, &target, sizeof(target));
	return PUT(at + sizeof(target), "\xff\xd0");
}

/* Two functions with frame pointers, and before them trampolines as those of `python -X perf`:
 * CPython's Python/asm_trampoline.S, of 3.12 and of 3.14. */
static void make_frames(unsigned char *at)
{
	at = PUT(at, "\x48\x83\xec\x08\xff\xd1\x48\x83\xc4\x08\xc3");
	at = PUT(at, "\xf3\x0f\x1e\xfa\x48\x83\xec\x08\xff\xd1\x48\x83\xc4\x08\xc3");
	at = PUT(at, "\xf3\x0f\x1e\xfa\x55\x48\x89\xe5\xff\xd1\x5d\xc3");
	at = frames + CODE;
	at = PUT(at, "\xf3\x0f\x1e\xfa\x55\x48\x89\xe5\xe8\x02\0\0\0\x5d\xc3");
	at = PUT(at, "\x55\x48\x8b\xec\x48\x83\xec\x10");
	at = put_call_of_leafy(at);
	PUT(at, "\xc9\xc2\0\0"); /* leave; ret $0 */
}

/* As Debian's CPython 3.14 enters and leaves its JIT's code: registers pushed, moves, a call. Then
 * pieces: one with a word on the stack, one that has pushed rbp and uses it for something else. */
static void make_python(unsigned char *at)
{
	at = PUT(at, "\x41\x57\x41\x56\x41\x55\x41\x54\x53\x49\x89\xfc\x49\x89\xf5\x49\x89\xd6");
	at = PUT(at, "\xe8\x0a\0\0\0\x5b\x41\x5c\x41\x5d\x41\x5e\x41\x5f\xc3");
	at = put_call_of_leafy(PUT(at, "\x90\x50"));
	at = PUT(at, "\x58\x55\x48\x81\xec\xa0\0\0\0\x48\xc7\xc5\x34\x12\0\0");
	at = put_call_of_leafy(at);
	PUT(at, "\x48\x81\xc4\xa0\0\0\0\x5d\x90\xc3");
}

static unsigned char *map(void)
{
	/* Pages around it: two mappings must not become one. */
	unsigned char *at = mmap(0, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED || mprotect(at + PAGE, PAGE, PROT_READ | PROT_WRITE))
		abort();
	return at + PAGE;
}

static int generated(unsigned long address)
{
	return address - (unsigned long)frames < PAGE || address - (unsigned long)python < PAGE;
}

static int is_leafy(unsigned long address)
{
	return address >= (unsigned long)leafy && address < (unsigned long)leafy_end;
}

static unsigned long peek(pid_t child, unsigned long address)
{
	return ptrace(PTRACE_PEEKDATA, child, address, 0);
}

static void tell(unsigned long leaf, const unsigned long *returns, int count)
{
	if (is_leafy(leaf))
		printf("leafy");
	else
		printf("%#lx", leaf);
	while (--count > 0) /* the last one leads to enter() */
		printf(" %#lx", returns[count] - 1);
	printf("\n");
}

static void step_all(pid_t child)
{
	struct user_regs_struct now, then;
	unsigned long returns[16];
	int status, count = 0;

	waitpid(child, &status, 0);
	for (;;) {
		unsigned long code;
		int call, ret;

		if (ptrace(PTRACE_GETREGS, child, 0, &now))
			abort();
		if (count && (generated(now.rip) || is_leafy(now.rip)))
			tell(now.rip, returns, count);
		code = peek(child, now.rip);
		call = (code & 0xff) == 0xe8 || (code & 0xf0ff) == 0xd0ff;
		ret = (code & 0xff) == 0xc3 || (code & 0xff) == 0xc2;
		if (ptrace(PTRACE_SINGLESTEP, child, 0, 0))
			abort();
		waitpid(child, &status, 0);
		if (WIFEXITED(status))
			return;
		if (ptrace(PTRACE_GETREGS, child, 0, &then))
			abort();
		if (call && (count || generated(then.rip)) && count < 16)
			returns[count++] = peek(child, then.rsp);
		else if (ret && count)
			count--;
	}
}

__attribute__((noinline)) static void run(void)
{
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	raise(SIGSTOP);
	enter(frames, frames + CODE);
	enter(frames + 11, frames + CODE);
	enter(frames + 26, frames + CODE);
	enter(python, 0);
	_exit(0);
}

__attribute__((noinline)) static void round_of_steps(void)
{
	pid_t child = fork();

	if (!child)
		run();
	step_all(child);
}

int main(void)
{
	struct pollfd input = {.events = POLLIN};
	char line[16];

	frames = map();
	python = map();
	make_frames(frames);
	make_python(python);
	if (mprotect(frames, PAGE, PROT_READ | PROT_EXEC) ||
	    mprotect(python, PAGE, PROT_READ | PROT_EXEC))
		abort();
	while (read(0, line, sizeof(line)) > 0) {
		do {
			round_of_steps();
			fflush(stdout);
			if (!freopen("/dev/null", "w", stdout))
				abort();
		} while (!poll(&input, 1, 50));
	}
	return 0;
}
