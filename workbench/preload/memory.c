// SPDX-License-Identifier: Apache-2.0
/* Samples allocations in the program itself: a library that is preloaded into it (ld.so(8)).
 *
 * A probe on malloc() traps into the kernel at each call. Here, a counter of bytes decides in a few
 * instructions, and only what is sampled calls a function that does nothing: there is where
 * bpf/memory.bpf.c has its probes. Memory still comes from the allocator that the program would have
 * without this, the next one in the order of ld.so.
 *
 * Samples are points of a Poisson process over the bytes handed out, one in WORKBENCH_SAMPLE_BYTES
 * on average, as in bpf/memory.bpf.c; each thread has its own. Addresses of sampled blocks are kept
 * in a table, so that free() knows them. With 0 every call is told, and there is no table.
 *
 * Needs no library itself: it may meet any C library, of any age. It allocates nothing.
 */
#include <stdint.h>

typedef __SIZE_TYPE__ size_t;

#define EXPORT __attribute__((visibility("default")))
#define WEAK __attribute__((weak))
#define NOINLINE __attribute__((noinline))
#define THREAD static __thread __attribute__((tls_model("initial-exec")))
#define likely(x) __builtin_expect(!!(x), 1)
#define load(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define store(x, v) __atomic_store_n(&(x), v, __ATOMIC_RELAXED)

#define RTLD_NEXT ((void *)-1L) /* dlfcn.h */

extern void *dlsym(void *handle, const char *name) WEAK;
extern char **environ WEAK;
/* glibc, whose dlsym() was in a library of its own before 2.34 */
extern void *__libc_malloc(size_t size) WEAK;
extern void *__libc_calloc(size_t count, size_t size) WEAK;
extern void *__libc_realloc(void *block, size_t size) WEAK;
extern void *__libc_memalign(size_t alignment, size_t size) WEAK;
extern void __libc_free(void *block) WEAK;

/* ---- what the probes sit on ----
 *
 * A nop first, as a uprobe is cheap there (workbench/symbols/cheap_places.py). They are called by a
 * jump at the end of malloc() and the like, so that at their entry the return address is that of
 * who called malloc(), and they return what it returns. */
#if defined(__x86_64__)
#define RETURN_FIRST "mov %rdi, %rax\n"
#define RETURN_0 "xor %eax, %eax\n"
#elif defined(__aarch64__)
#define RETURN_FIRST ""
#define RETURN_0 "mov w0, #0\n"
#else
#error "not ported to this machine"
#endif
#define PROBE(name, result)                                                                     \
	__asm__(".text\n.p2align 4\n.globl " #name "\n.type " #name ", %function\n" #name ":\n"    \
		".cfi_startproc\nnop\n" result "ret\n.cfi_endproc\n.size " #name ", . - " #name "\n")

PROBE(workbench_allocated, RETURN_FIRST);
extern void *workbench_allocated(void *block, size_t size);
PROBE(workbench_allocated_0, RETURN_0); /* for posix_memalign() */
extern int workbench_allocated_0(void *block, size_t size);
PROBE(workbench_freed, RETURN_FIRST);
extern void workbench_freed(void *block);
/* realloc() may give a block to another thread before it returns: its end is told in two parts. */
PROBE(workbench_moving, RETURN_FIRST);
extern void workbench_moving(void *block);
PROBE(workbench_moved, RETURN_FIRST);
extern void workbench_moved(int gone);

/* ---- the next allocator ---- */

static struct {
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void *(*reallocarray)(void *, size_t, size_t);
	void *(*memalign)(size_t, size_t);
	void *(*aligned_alloc)(size_t, size_t);
	int (*posix_memalign)(void **, size_t, size_t);
	void (*free)(void *);
} next;

/* What dlsym() itself asks for while it looks for the next malloc(); never given back. */
static char first_bytes[1 << 14] __attribute__((aligned(16)));
static size_t first_used;
THREAD int looking;

static void *first_malloc(size_t size)
{
	size_t at = __atomic_fetch_add(&first_used, (size + 31) & ~15UL, __ATOMIC_RELAXED);

	if (size >= sizeof(first_bytes) || at + size + 16 > sizeof(first_bytes))
		return 0;
	*(size_t *)(first_bytes + at) = size; /* realloc() needs it */
	return first_bytes + at + 16;
}

static int is_first(const void *block)
{
	return (uintptr_t)block - (uintptr_t)first_bytes < sizeof(first_bytes);
}

static void *take_from_first(void *block, size_t size)
{
	size_t old = *(size_t *)((char *)block - 16);
	char *made = next.malloc(size);

	for (size_t i = 0; made && i < old && i < size; i++)
		made[i] = ((char *)block)[i];
	return made;
}

/* Two threads may do this at once: both find the same. 1: there is a next allocator. */
static NOINLINE int look(void)
{
	void *found;

	if (looking)
		return 0;
	looking = 1;
#define FIND(name) store(next.name, (__typeof__(next.name))dlsym(RTLD_NEXT, #name))
	if (dlsym) {
		FIND(calloc);
		FIND(realloc);
		FIND(reallocarray);
		FIND(memalign);
		FIND(aligned_alloc);
		FIND(posix_memalign);
		FIND(free);
		found = dlsym(RTLD_NEXT, "malloc");
	} else {
		store(next.calloc, __libc_calloc);
		store(next.realloc, __libc_realloc);
		store(next.memalign, __libc_memalign);
		store(next.aligned_alloc, __libc_memalign);
		store(next.free, __libc_free);
		found = __libc_malloc;
	}
	/* Last: it says that all are there. */
	__atomic_store_n(&next.malloc, (__typeof__(next.malloc))found, __ATOMIC_RELEASE);
	looking = 0;
	return found != 0;
}

static int ready(void)
{
	return likely(__atomic_load_n(&next.malloc, __ATOMIC_ACQUIRE) != 0) || look();
}

/* ---- which allocations are sampled ---- */

enum { UNKNOWN, OFF, SAMPLE, ALL };

static int mode = UNKNOWN;
static int tell_all; /* ends of all blocks are told */
static double distance; /* bytes between two samples, on average */
static uint64_t seeds;

THREAD int64_t left; /* bytes until the next sample */
THREAD uint64_t chance;

static void configure(void)
{
	static const char name[] = "WORKBENCH_SAMPLE_BYTES=";

	if (!&environ || !environ) /* the C library has not begun */
		return;
	for (char **variable = environ; *variable; variable++) {
		const char *text = *variable;
		uint64_t value = 0;
		size_t i = 0;

		while (name[i] && text[i] == name[i])
			i++;
		if (name[i])
			continue;
		for (text += i; *text >= '0' && *text <= '9'; text++)
			value = value * 10 + (*text - '0');
		distance = value;
		store(tell_all, !value);
		store(mode, value ? SAMPLE : ALL);
		return;
	}
	store(mode, OFF);
}

static uint64_t clock_cycles(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	uint64_t cycles;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(cycles));
	return cycles;
#endif
}

/* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014) */
static uint64_t random_bits(void)
{
	uint64_t z;

	if (!chance)
		chance = clock_cycles() ^ (uint64_t)&chance << 20 ^
			 __atomic_add_fetch(&seeds, 1, __ATOMIC_RELAXED) << 48;
	z = (chance += 0x9e3779b97f4a7c15ULL);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* -ln(x) of an x from 2^-53 to 1: with x = 2^e m and z = (m - 1) / (m + 1),
 * ln(x) = e ln(2) + 2 (z + z^3/3 + z^5/5 + ...), which is 1e-10 near for |z| <= 1/5. */
static double minus_log(double x)
{
	union {
		double number;
		uint64_t bits;
	} parts = { .number = x };
	int exponent = (int)(parts.bits >> 52) - 1023;
	double z, square;

	parts.bits = (parts.bits & 0xfffffffffffffULL) | 1023ULL << 52;
	if (parts.number > 1.4142135623730951) {
		parts.number /= 2;
		exponent++;
	}
	z = (parts.number - 1) / (parts.number + 1);
	square = z * z;
	return -exponent * 0.6931471805599453 -
	       2 * z * (1 + square * (1. / 3 + square * (1. / 5 + square * (1. / 7 +
	       square * (1. / 9 + square * (1. / 11 + square / 13))))));
}

static int64_t wait(void)
{
	double bytes = distance * minus_log(((random_bits() >> 11) + 1) * 0x1p-53);

	return bytes < 0x1p62 ? 1 + (int64_t)bytes : INT64_C(1) << 62;
}

/* Once `left` has run out: whether this one is sampled. */
static int chosen(void)
{
	int now = load(mode);

	if (now == UNKNOWN)
		configure();
	now = load(mode);
	if (now == ALL)
		return !(left = 0);
	if (now != SAMPLE) {
		left = now == OFF ? INT64_MAX : 0;
		return 0;
	}
	if (!chance) { /* the thread's first: it has not waited yet */
		left += wait();
		if (left > 0)
			return 0;
	}
	left = wait();
	return 1;
}

/* ---- the table of sampled blocks ----
 *
 * Each address has a home, by a hash; it lies there or in one of the next `reach` - 1 buckets. How
 * many are at home in a bucket is counted: mostly none, and that is all that free() looks at. An
 * address is not freed before malloc() has returned it, so nobody looks for one that is on its way
 * into the table. Where one finds no room, each free() is told from then on. */

#define HOMES (1 << 14)
#define SLOTS 8
#define MAX_REACH 64

static uint16_t at_home[HOMES];
static uintptr_t table[HOMES][SLOTS] __attribute__((aligned(64)));
static unsigned int reach = 1;

static unsigned int home_of(uintptr_t address)
{
	return (address >> 4) * 0x9e3779b97f4a7c15ULL >> 50;
}

static void note(uintptr_t address)
{
	unsigned int home = home_of(address);

	for (unsigned int far = 0; far < MAX_REACH; far++) {
		uintptr_t *bucket = table[(home + far) % HOMES];

		for (int i = 0; i < SLOTS; i++) {
			uintptr_t none = 0;
			unsigned int now = load(reach);

			if (load(bucket[i]) ||
			    !__atomic_compare_exchange_n(&bucket[i], &none, address, 0,
							 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
				continue;
			while (now <= far && !__atomic_compare_exchange_n(&reach, &now, far + 1, 0,
									  __ATOMIC_RELAXED,
									  __ATOMIC_RELAXED))
				;
			__atomic_fetch_add(&at_home[home], 1, __ATOMIC_RELAXED);
			return;
		}
	}
	store(tell_all, 1);
}

static NOINLINE int forget(unsigned int home, uintptr_t address)
{
	unsigned int now = load(reach);

	for (unsigned int far = 0; far < now; far++) {
		uintptr_t *bucket = table[(home + far) % HOMES];

		for (int i = 0; i < SLOTS; i++) {
			if (load(bucket[i]) != address)
				continue;
			store(bucket[i], 0);
			__atomic_fetch_sub(&at_home[home], 1, __ATOMIC_RELAXED);
			return 1;
		}
	}
	return 0;
}

/* Whether the end of a block is to be told; it is out of the table then. */
static inline int known(void *block)
{
	unsigned int home = home_of((uintptr_t)block);

	if (likely(!load(at_home[home])) || !forget(home, (uintptr_t)block))
		return load(tell_all);
	return 1;
}

/* ---- what the program calls ---- */

static NOINLINE void *maybe(void *block, size_t size)
{
	if (!chosen())
		return block;
	if (load(mode) == SAMPLE)
		note((uintptr_t)block);
	return workbench_allocated(block, size);
}

static NOINLINE int maybe_0(void *block, size_t size)
{
	if (!chosen())
		return 0;
	if (load(mode) == SAMPLE)
		note((uintptr_t)block);
	return workbench_allocated_0(block, size);
}

static inline int runs_out(size_t size)
{
	return (left -= (int64_t)size) <= 0;
}

static inline void *handed_out(void *block, size_t size)
{
	return block && runs_out(size) ? maybe(block, size) : block;
}

EXPORT void *malloc(size_t size)
{
	return ready() ? handed_out(next.malloc(size), size) : first_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
	size_t bytes;

	if (ready())
		return handed_out(next.calloc(count, size), count * size);
	return __builtin_mul_overflow(count, size, &bytes) ? 0 : first_malloc(bytes);
}

EXPORT void free(void *block)
{
	if (!block || is_first(block) || !ready())
		return;
	if (known(block))
		workbench_freed(block);
	next.free(block);
}

/* realloc() with a size of 0 frees; one that fails leaves what it got. */
static inline void *moved(void *block, void *made, size_t size, int told)
{
	int gone = made || !size;

	if (told) {
		if (!gone && load(mode) == SAMPLE)
			note((uintptr_t)block);
		workbench_moved(gone);
	}
	return handed_out(made, size);
}

static inline int moving(void *block)
{
	int told = block && known(block);

	if (told)
		workbench_moving(block);
	return told;
}

EXPORT void *realloc(void *block, size_t size)
{
	int told;

	if (!ready())
		return block ? 0 : first_malloc(size);
	if (is_first(block))
		return handed_out(take_from_first(block, size), size);
	told = moving(block);
	return moved(block, next.realloc(block, size), size, told);
}

EXPORT void *reallocarray(void *block, size_t count, size_t size)
{
	size_t bytes = 0;
	int told;

	/* Too much is refused by the next one, which sets errno. */
	if (__builtin_mul_overflow(count, size, &bytes))
		bytes = SIZE_MAX;
	if (!ready() || is_first(block) || !next.reallocarray)
		return realloc(block, bytes);
	told = moving(block);
	return moved(block, next.reallocarray(block, count, size), bytes, told);
}

EXPORT void *memalign(size_t alignment, size_t size)
{
	return ready() && next.memalign ? handed_out(next.memalign(alignment, size), size) : 0;
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	return ready() && next.aligned_alloc ? handed_out(next.aligned_alloc(alignment, size), size)
					     : 0;
}

/* By memalign(), which takes any alignment. */
static int align(void **block, size_t alignment, size_t size)
{
	void *made;

	if (alignment < sizeof(void *) || alignment & (alignment - 1))
		return 22; /* EINVAL, errno.h */
	made = ready() && next.memalign ? next.memalign(alignment, size) : 0;
	if (!made)
		return 12; /* ENOMEM */
	*block = made;
	return 0;
}

EXPORT int posix_memalign(void **block, size_t alignment, size_t size)
{
	int error = ready() && next.posix_memalign ? next.posix_memalign(block, alignment, size)
						   : align(block, alignment, size);

	return !error && *block && runs_out(size) ? maybe_0(*block, size) : error;
}
