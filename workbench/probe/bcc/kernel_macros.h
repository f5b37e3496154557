/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What BCC programs use of the kernel's headers and BTF does not hold: macros and inline functions.
 *
 * Values are of Linux 5.8 to 6.18 and the same in all of them; what differs between kernels or
 * configurations is derived from types or from the configuration, or is not here, so that a
 * program that needs it fails to compile instead of reading wrong. Where BTF has an enumerator of
 * the name, workbench/probe/bcc/tree.py leaves the macro out.
 */

/* include/linux/stddef.h, container_of.h, compiler.h, compiler_attributes.h */
#define NULL ((void *)0)
#define offsetof(type, member) __builtin_offsetof(type, member)
#define container_of(pointer, type, member) \
	((type *)((char *)(pointer) - __builtin_offsetof(type, member)))
#define list_entry(pointer, type, member) container_of(pointer, type, member)
#define hlist_entry(pointer, type, member) container_of(pointer, type, member)
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define barrier() __asm__ __volatile__("" : : : "memory")
#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile typeof(x) *)&(x) = (value))
#define __always_inline inline __attribute__((always_inline))
#define noinline __attribute__((noinline))
#define notrace __attribute__((no_instrument_function))
#define __maybe_unused __attribute__((unused))
#define __packed __attribute__((packed))
#define __aligned(x) __attribute__((aligned(x)))
#define __user
#define __kernel
#define __iomem
#define __rcu
#define __percpu
#define __force
#define __bitwise
#define __must_check
#define __read_mostly
#define asmlinkage

/* include/linux/minmax.h, array_size.h, bits.h, limits.h, log2.h, math64.h, err.h */
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define BIT(n) (1UL << (n))
#define BIT_ULL(n) (1ULL << (n))
#define BITS_PER_LONG 64
#define min(a, b) ({ typeof(a) _min_a = (a); typeof(b) _min_b = (b); _min_a < _min_b ? _min_a : _min_b; })
#define max(a, b) ({ typeof(a) _max_a = (a); typeof(b) _max_b = (b); _max_a > _max_b ? _max_a : _max_b; })
#define min_t(type, a, b) ({ type _min_a = (a); type _min_b = (b); _min_a < _min_b ? _min_a : _min_b; })
#define max_t(type, a, b) ({ type _max_a = (a); type _max_b = (b); _max_a > _max_b ? _max_a : _max_b; })
#define INT_MAX ((int)(~0U >> 1))
#define UINT_MAX (~0U)
#define LONG_MAX ((long)(~0UL >> 1))
#define ULONG_MAX (~0UL)
#define U32_MAX ((u32)~0U)
#define U64_MAX ((u64)~0ULL)
#define ilog2(n) (63 - __builtin_clzll((unsigned long long)(n)))
#define rounddown_pow_of_two(n) (1UL << ilog2(n))
#define roundup_pow_of_two(n) ((n) <= 1 ? 1UL : 1UL << (ilog2((n) - 1) + 1))
#define div_u64(a, b) ((u64)(a) / (u32)(b))
#define div64_u64(a, b) ((u64)(a) / (u64)(b))
#define MAX_ERRNO 4095
#define IS_ERR_VALUE(x) ((unsigned long)(void *)(x) >= (unsigned long)-MAX_ERRNO)
#define IS_ERR(pointer) IS_ERR_VALUE(pointer)
#define IS_ERR_OR_NULL(pointer) (!(pointer) || IS_ERR_VALUE(pointer))
#define PTR_ERR(pointer) ((long)(pointer))

/* include/vdso/time64.h, include/asm-generic/param.h, include/linux/kdev_t.h */
#define NSEC_PER_SEC 1000000000L
#define NSEC_PER_MSEC 1000000L
#define NSEC_PER_USEC 1000L
#define USEC_PER_SEC 1000000L
#define MSEC_PER_SEC 1000L
#define HZ CONFIG_HZ
#define MINORBITS 20
#define MINORMASK ((1U << MINORBITS) - 1)
#define MAJOR(device) ((unsigned int)((device) >> MINORBITS))
#define MINOR(device) ((unsigned int)((device) & MINORMASK))
#define MKDEV(major, minor) (((major) << MINORBITS) | (minor))
#define new_encode_dev(device) \
	((MINOR(device) & 0xff) | MAJOR(device) << 8 | (MINOR(device) & ~0xff) << 12)

/* include/uapi/linux/byteorder, for little-endian machines; include/linux/socket.h */
#define ntohs(x) __builtin_bswap16(x)
#define htons(x) __builtin_bswap16(x)
#define ntohl(x) __builtin_bswap32(x)
#define htonl(x) __builtin_bswap32(x)
#define be16_to_cpu(x) __builtin_bswap16(x)
#define be32_to_cpu(x) __builtin_bswap32(x)
#define be64_to_cpu(x) __builtin_bswap64(x)
#define cpu_to_be16(x) __builtin_bswap16(x)
#define cpu_to_be32(x) __builtin_bswap32(x)
#define cpu_to_be64(x) __builtin_bswap64(x)
#define le16_to_cpu(x) ((u16)(x))
#define le32_to_cpu(x) ((u32)(x))
#define le64_to_cpu(x) ((u64)(x))
#define ___constant_swab16(x) __builtin_bswap16(x)
#define AF_UNSPEC 0
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define AF_NETLINK 16
#define AF_PACKET 17
#define PF_INET AF_INET
#define PF_INET6 AF_INET6
#define MSG_PEEK 2
#define MSG_DONTWAIT 0x40
#define SCM_RIGHTS 1
#define SCM_CREDENTIALS 2

/* include/linux/sched.h, threads.h, gfp_types.h, fs.h, stat.h, blk_types.h, blkdev.h, kernel.h */
#define PF_IDLE 0x00000002
#define PF_EXITING 0x00000004
#define PF_WQ_WORKER 0x00000020
#define PF_KTHREAD 0x00200000
#define TASK_RUNNING 0
#define TASK_INTERRUPTIBLE 1
#define TASK_UNINTERRUPTIBLE 2
#define PID_MAX_LIMIT (4 * 1024 * 1024)
#define READ 0
#define WRITE 1
#define FMODE_READ 1
#define FMODE_WRITE 2
#define FMODE_CREATED 0x100000
#define S_IFMT 00170000
#define S_IFSOCK 0140000
#define S_IFLNK 0120000
#define S_IFREG 0100000
#define S_IFBLK 0060000
#define S_IFDIR 0040000
#define S_IFCHR 0020000
#define S_IFIFO 0010000
#define S_ISREG(mode) (((mode) & S_IFMT) == S_IFREG)
#define S_ISDIR(mode) (((mode) & S_IFMT) == S_IFDIR)
#define S_ISCHR(mode) (((mode) & S_IFMT) == S_IFCHR)
#define S_ISBLK(mode) (((mode) & S_IFMT) == S_IFBLK)
#define S_ISLNK(mode) (((mode) & S_IFMT) == S_IFLNK)
#define S_ISSOCK(mode) (((mode) & S_IFMT) == S_IFSOCK)
#define S_ISFIFO(mode) (((mode) & S_IFMT) == S_IFIFO)
#define SECTOR_SHIFT 9
#define SECTOR_SIZE 512
#define REQ_OP_BITS 8
#define REQ_OP_MASK ((1 << REQ_OP_BITS) - 1)
#define BDEVNAME_SIZE 32
#define __NEW_UTS_LEN 64
#define MAX_NUMNODES (1 << CONFIG_NODES_SHIFT)
#define for_each_possible_cpu(cpu) for ((cpu) = 0; (cpu) < 0; (cpu)++)

/* Lengths that changed between versions: as the running kernel's types have them. */
#define KSYM_NAME_LEN sizeof(((struct bpf_ksym *)0)->name)
#define MODULE_NAME_LEN sizeof(((struct module *)0)->name)
#define DISK_NAME_LEN sizeof(((struct gendisk *)0)->disk_name)
#define DNAME_INLINE_LEN sizeof(WB_DENTRY_INLINE_NAME)

/* include/net/sock.h, inet_sock.h, request_sock.h, inet_timewait_sock.h, tcp.h, ip.h, in6.h */
#define sk_family __sk_common.skc_family
#define sk_state __sk_common.skc_state
#define sk_num __sk_common.skc_num
#define sk_dport __sk_common.skc_dport
#define sk_daddr __sk_common.skc_daddr
#define sk_rcv_saddr __sk_common.skc_rcv_saddr
#define sk_v6_daddr __sk_common.skc_v6_daddr
#define sk_v6_rcv_saddr __sk_common.skc_v6_rcv_saddr
#define sk_net __sk_common.skc_net
#define sk_prot __sk_common.skc_prot
#define sk_node __sk_common.skc_node
#define sk_bound_dev_if __sk_common.skc_bound_dev_if
#define sk_cookie __sk_common.skc_cookie
#define sk_refcnt __sk_common.skc_refcnt
#define sk_reuse __sk_common.skc_reuse
#define sk_reuseport __sk_common.skc_reuseport
#define sk_portpair __sk_common.skc_portpair
#define sk_addrpair __sk_common.skc_addrpair
#define sk_hash __sk_common.skc_hash
#define sk_flags __sk_common.skc_flags
#define inet_daddr sk.__sk_common.skc_daddr
#define inet_rcv_saddr sk.__sk_common.skc_rcv_saddr
#define inet_dport sk.__sk_common.skc_dport
#define inet_num sk.__sk_common.skc_num
#define ir_num req.__req_common.skc_num
#define tw_daddr __tw_common.skc_daddr
#define tw_dport __tw_common.skc_dport
#define s6_addr in6_u.u6_addr8
#define s6_addr16 in6_u.u6_addr16
#define s6_addr32 in6_u.u6_addr32
#define sigev_notify_thread_id _sigev_un._tid
#define ICSK_TIME_RETRANS 1
#define ICSK_TIME_PROBE0 3
#define TCP_MAX_WSCALE 14U
#define skb_transport_header(skb) ((skb)->head + (skb)->transport_header)
#define skb_network_header(skb) ((skb)->head + (skb)->network_header)
#define tcp_hdr(skb) ((struct tcphdr *)skb_transport_header(skb))
#define ip_hdr(skb) ((struct iphdr *)skb_network_header(skb))
#define skb_rx_queue_recorded(skb) ((skb)->queue_mapping != 0)
#define skb_get_rx_queue(skb) ((skb)->queue_mapping - 1)

/* Each begins with the struct that it is cast from, include/net/inet_sock.h and others. */
#define WB_CAST(name, type) \
	static __always_inline struct type *name(const struct sock *sk) { return (struct type *)sk; }
WB_CAST(inet_sk, inet_sock)
WB_CAST(inet_csk, inet_connection_sock)
WB_CAST(inet_twsk, inet_timewait_sock)
WB_CAST(tcp_sk, tcp_sock)
WB_CAST(udp_sk, udp_sock)

/* include/linux/scatterlist.h */
#define SG_CHAIN 1UL
#define SG_END 2UL
#define sg_is_chain(entry) ((entry)->page_link & SG_CHAIN)
#define sg_is_last(entry) ((entry)->page_link & SG_END)
#define sg_chain_ptr(entry) ((struct scatterlist *)((entry)->page_link & ~(SG_CHAIN | SG_END)))

/* arch/x86/include/asm/page_64_types.h: both are fixed; PAGE_OFFSET itself is not, under KASLR. */
#ifdef CONFIG_X86_64
#define __PAGE_OFFSET_BASE_L4 0xffff888000000000UL
#define __PAGE_OFFSET_BASE_L5 0xff11000000000000UL
#endif
