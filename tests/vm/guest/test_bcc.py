"""BCC with the kernel's own headers: kprobes on what dd does."""

import os

import polars as pl
import pytest

import workbench as wb
from workbench.probe.bcc import headers

DD = ["dd", "if=/dev/zero", "of=/dev/null", "bs=100", "count=500"]
# The inode of the file is read through three structs whose layouts the headers give.
READS = """
#include <linux/fs.h>
#include <linux/sched.h>
struct read_event { u64 inode; u64 size; u32 pid; char comm[TASK_COMM_LEN]; };
BPF_PERF_OUTPUT(reads);
BPF_HASH(sizes, u64, u64);
int kprobe__vfs_read(struct pt_regs *ctx, struct file *file, char *buf, size_t count)
{
    struct read_event e = {};
    u64 size = count;
    if (bpf_get_current_pid_tgid() >> 32 != WB_PID)
        return 0;
    e.inode = file->f_path.dentry->d_inode->i_ino;
    e.size = count;
    e.pid = WB_PID;
    bpf_get_current_comm(&e.comm, sizeof(e.comm));
    reads.perf_submit(ctx, &e, sizeof(e));
    sizes.increment(size);
    return 0;
}
BPF_ARRAY(returned, u64, 1);
int kretprobe__vfs_write(struct pt_regs *ctx)
{
    int zero = 0;
    long written = PT_REGS_RC(ctx);
    if (bpf_get_current_pid_tgid() >> 32 == WB_PID && written == 100)
        returned.increment(zero);
    return 0;
}
"""


@pytest.mark.timeout(300)
def test_kprobes_of_a_cell():
    assert not headers.find().made
    cell = wb.bpf(READS, command=DD)
    reads = cell["reads"].filter(pl.col("size") == 100)
    assert reads.height == 500
    assert set(reads["inode"]) == {os.stat("/dev/zero").st_ino}
    assert set(reads["comm"]) == {"dd"}
    assert cell["sizes"].filter(pl.col("key") == 100)["value"].item() == 500
    assert cell["returned"]["value"].item() == 500
    assert (cell.losses["produced"] == cell.losses["delivered"]).all()
