/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Histograms by powers of two, for kinds that count in the kernel. */
#ifndef WORKBENCH_HISTOGRAM_H
#define WORKBENCH_HISTOGRAM_H

#define HIST_SLOTS 64

/* Slot i counts values in [2^i, 2^(i+1)); slot 0 also holds 0. */
static __always_inline __u32 log2_slot(__u64 v)
{
	__u32 slot = 0;

	if (v >> 32) { slot += 32; v >>= 32; }
	if (v >> 16) { slot += 16; v >>= 16; }
	if (v >> 8) { slot += 8; v >>= 8; }
	if (v >> 4) { slot += 4; v >>= 4; }
	if (v >> 2) { slot += 2; v >>= 2; }
	return slot + (v >> 1 & 1);
}

#endif
