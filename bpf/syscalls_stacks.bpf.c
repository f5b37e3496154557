// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The kind syscalls with the caller's stack in each event: an object of its own, so that captures
 * without stacks pay nothing for them. */
#define WB_STACKS
#include "syscalls.bpf.c"
