// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* What the benches of maps and of attaching load: a table, and a probe that counts in it. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct total {
	u64 calls;
	u64 ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 17);
	__type(key, u64);
	__type(value, struct total);
} table SEC(".maps");

SEC("uprobe")
int hit(void *ctx)
{
	u64 key = 1;
	struct total *found = bpf_map_lookup_elem(&table, &key);

	if (found)
		__sync_fetch_and_add(&found->calls, 1);
	return 0;
}
