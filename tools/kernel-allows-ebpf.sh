#!/bin/sh
# Succeeds when this user may load eBPF programs on this kernel; else says why not.
#
# Deliberately not a part of the workbench (`workbench doctor` says more): what decides whether
# kernel tests may be skipped must not be the code that those tests check.
set -u
PATH=$PATH:/usr/sbin:/sbin

if [ ! -r /sys/kernel/btf/vmlinux ]; then
    echo "no eBPF: the kernel offers no BTF at /sys/kernel/btf/vmlinux"
    exit 1
fi
capabilities=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
# Bits of include/uapi/linux/capability.h: 21 SYS_ADMIN, 38 PERFMON, 39 BPF.
high=$((0x$(echo "$capabilities" | cut -c1-8)))
low=$((0x$(echo "$capabilities" | cut -c9-16)))
if [ $((low >> 21 & 1)) -eq 0 ] && [ $((high >> 6 & 3)) -ne 3 ]; then
    echo "no eBPF: this user has neither CAP_SYS_ADMIN nor CAP_BPF and CAP_PERFMON"
    exit 1
fi
# Capabilities are not all: a container's seccomp filter may forbid bpf(2).
if ! bpftool prog list >/dev/null 2>&1; then
    echo "no eBPF: bpf(2) is refused, or bpftool is missing"
    exit 1
fi
