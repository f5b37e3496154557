// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* A link that loses known segments: each whose payload begins with a 'D', the first time that its
 * sequence number is seen. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32); /* sequence number */
	__type(value, __u32);
} seen SEC(".maps");

SEC("tc")
int drop(struct __sk_buff *skb)
{
	struct iphdr ip;
	struct tcphdr tcp;
	__u32 seq, one = 1, at = ETH_HLEN;
	char first;

	if (skb->protocol != bpf_htons(ETH_P_IP) || bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) ||
	    ip.protocol != IPPROTO_TCP)
		return TC_ACT_OK;
	at += ip.ihl * 4;
	if (bpf_skb_load_bytes(skb, at, &tcp, sizeof(tcp)))
		return TC_ACT_OK;
	at += tcp.doff * 4;
	seq = tcp.seq;
	if (bpf_skb_load_bytes(skb, at, &first, 1) || first != 'D')
		return TC_ACT_OK;
	return bpf_map_update_elem(&seen, &seq, &one, BPF_NOEXIST) ? TC_ACT_OK : TC_ACT_SHOT;
}
