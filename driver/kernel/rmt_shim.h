/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Made by `rmt docs` from the tables of rmt-isa. Do not edit. */
#ifndef RMT_SHIM_H
#define RMT_SHIM_H

#include "rmt_device.h"

/* Contract */
#define RMT_SHIM_MAGIC 0x4d494853544d52ULL
#define RMT_SHIM_VERSION 1
#define RMT_SHIM_PAGE_BYTES 4096
#define RMT_SHIM_MIN_RING_LOG2 6
#define RMT_SHIM_MAX_RING_LOG2 16
#define RMT_SHIM_DEFAULT_RING_LOG2 10
#define RMT_SHIM_MAX_BUDGET_NS 200000
#define RMT_SHIM_DEFAULT_BUDGET_NS 5000
#define RMT_SHIM_NO_ANSWER 0xffffffffU
#define RMT_SHIM_OUTCOME_IN_TIME 1
#define RMT_SHIM_OUTCOME_USED 2
#define RMT_SHIM_OUTCOME_FORBIDDEN 4

/* Hooks */
#define RMT_HOOK_DO_SWAP_PAGE 1
#define RMT_HOOK_CAN_MIGRATE_TASK 2
#define RMT_HOOK_SWAPIN_READAHEAD 3
#define RMT_HOOK_SWAP_CLUSTER_READAHEAD 4
#define RMT_HOOK_PAGE_CACHE_RA_UNBOUNDED 5
#define RMT_HOOK_COUNT 5

/* Modes */
#define RMT_MODE_OFF 0
#define RMT_MODE_SHADOW 1
#define RMT_MODE_ADVISE 2
#define RMT_MODE_ACT 3

/* Why the module put a hook off by itself */
#define RMT_DEMOTION_NONE 0
#define RMT_DEMOTION_ACCURACY 1
#define RMT_DEMOTION_LATENCY 2
#define RMT_DEMOTION_ERRORS 3
#define RMT_DEMOTION_DAEMON_GONE 4
#define RMT_DEMOTION_KILLED 5

/* Counters */
#define RMT_COUNTER_CALLS 0
#define RMT_COUNTER_BYPASSED 1
#define RMT_COUNTER_UNFIT 2
#define RMT_COUNTER_RING_FULL 3
#define RMT_COUNTER_SENT 4
#define RMT_COUNTER_IN_TIME 5
#define RMT_COUNTER_LATE 6
#define RMT_COUNTER_UNANSWERED 7
#define RMT_COUNTER_USED 8
#define RMT_COUNTER_CHANGED 9
#define RMT_COUNTER_OVERRULED 10
#define RMT_COUNTER_AGREED 11
#define RMT_COUNTER_DISAGREED 12
#define RMT_COUNTER_ABSTAINED 13
#define RMT_COUNTER_ERRORS 14
#define RMT_COUNTER_OUTCOMES_LOST 15
#define RMT_COUNTER_WAKEUPS 16
#define RMT_COUNTER_WAIT_NS 17
#define RMT_COUNTER_DEMOTIONS 18
#define RMT_COUNTER_UNSEEN 19
#define RMT_COUNTER_COUNT 20

/* Calls of the device; the letter is 'R' */
#define RMT_IOCTL_ATTACH 0x5200U
#define RMT_IOCTL_KILL 0x5201U
#define RMT_IOCTL_SET_HOOK 0x40205202U
#define RMT_IOCTL_GET_HOOK 0xc0205203U
#define RMT_IOCTL_GET_COUNTERS 0xc0a85204U

struct rmt_shim_header {
	__u64 magic;
	__u32 version;
	__u32 cpus;
	__u32 ring_log2;
	__u32 block_base;
	__u32 block_stride;
	__u32 events_offset;
	__u32 decisions_offset;
	__u32 outcomes_offset;
	__u64 bytes;
};
_Static_assert(sizeof(struct rmt_shim_header) == 48, "rmt_shim_header has 48 bytes");

struct rmt_shim_block {
	__u32 event_tail;
	__u32 outcome_tail;
	__u8 reserved_module[56];
	__u32 event_head;
	__u32 outcome_head;
	__u32 sleeping;
	__u8 reserved_daemon[52];
};
_Static_assert(sizeof(struct rmt_shim_block) == 128, "rmt_shim_block has 128 bytes");

struct rmt_shim_outcome {
	__u32 tag;
	__u16 hook;
	__u16 flags;
	__u64 time_ns;
	__u32 kernel;
	__u32 program;
	__u32 hook_ns;
	__u32 answer_ns;
};
_Static_assert(sizeof(struct rmt_shim_outcome) == 32, "rmt_shim_outcome has 32 bytes");

struct rmt_shim_settings {
	__u16 hook;
	__u8 mode;
	__u8 demotion;
	__u32 budget_ns;
	__u32 window;
	__u16 min_agreement;
	__u16 max_late;
	__u32 max_errors;
	__u32 reserved;
	__u64 key;
};
_Static_assert(sizeof(struct rmt_shim_settings) == 32, "rmt_shim_settings has 32 bytes");

struct rmt_shim_counters {
	__u16 hook;
	__u8 reserved[6];
	__u64 counters[RMT_COUNTER_COUNT];
};

/* A process reads a page that was swapped out, whether it is still in memory or not. */
struct rmt_event_do_swap_page {
	__u16 hook;
	__u16 flags;
	__u32 tag;
	__u64 key;
	__u64 vpn;
	__u64 swap_offset;
	__u8 gap_32[32];
};
_Static_assert(sizeof(struct rmt_event_do_swap_page) == 64, "rmt_event_do_swap_page has 64 bytes");

/* The scheduler balances load and looks at a task: may it move from its processor to another? */
struct rmt_event_can_migrate_task {
	__u16 hook;
	__u16 flags;
	__u32 tag;
	__u64 key;
	__s16 src_non_pref_nr;
	__s16 delta_hot;
	__s16 cpu_idle;
	__s16 cpu_not_idle;
	__s16 cpu_newly_idle;
	__s16 same_node;
	__s16 prefer_src;
	__s16 prefer_dst;
	__s16 src_len;
	__u8 gap_34[4];
	__s16 dst_len;
	__u8 gap_40[2];
	__s16 extra_fails;
	__s16 buddy_hot;
	__u8 gap_46[2];
	__u32 src_load;
	__u32 dst_load;
	__s32 delta_faults;
	__s32 total_faults;
};
_Static_assert(sizeof(struct rmt_event_can_migrate_task) == 64, "rmt_event_can_migrate_task has 64 bytes");

/* A swapped-out page must be read: the kernel reads neighbours ahead with it. */
struct rmt_event_swapin_readahead {
	__u16 hook;
	__u16 flags;
	__u32 tag;
	__u64 key;
	__u64 vpn;
	__u64 swap_offset;
	__u8 gap_32[32];
};
_Static_assert(sizeof(struct rmt_event_swapin_readahead) == 64, "rmt_event_swapin_readahead has 64 bytes");

/* The kernel reads a cluster of slots of a swap device that has seek times. */
struct rmt_event_swap_cluster_readahead {
	__u16 hook;
	__u16 flags;
	__u32 tag;
	__u64 key;
	__u64 swap_offset;
	__u8 gap_24[40];
};
_Static_assert(sizeof(struct rmt_event_swap_cluster_readahead) == 64, "rmt_event_swap_cluster_readahead has 64 bytes");

/* The kernel is about to read pages of a file ahead. */
struct rmt_event_page_cache_ra_unbounded {
	__u16 hook;
	__u16 flags;
	__u32 tag;
	__u64 key;
	__u64 index;
	__u32 nr_to_read;
	__u32 lookahead_size;
	__u32 device;
	__u32 pid;
	__u8 gap_40[24];
};
_Static_assert(sizeof(struct rmt_event_page_cache_ra_unbounded) == 64, "rmt_event_page_cache_ra_unbounded has 64 bytes");

#endif
