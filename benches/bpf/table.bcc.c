/* What table.bpf.c does, in BCC's C. */
struct total {
	u64 calls;
	u64 ns;
};

BPF_HASH(table, u64, struct total, 1 << 17);

int hit(void *ctx)
{
	u64 key = 1;
	struct total *found = table.lookup(&key);

	if (found)
		__sync_fetch_and_add(&found->calls, 1);
	return 0;
}
