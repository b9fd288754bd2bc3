/* SPDX-License-Identifier: GPL-2.0 */
/*
 * rmt_shim: hands decisions of this kernel to a program of RMT, and takes them
 * back. What module and daemon agree on stands in rmt_shim.h, which is made
 * from the tables of rmt-isa; the module itself runs no program.
 *
 *   main.c     start and end of the module
 *   device.c   /dev/rmt: calls, shared memory, poll
 *   decide.c   the way of an event: begin, publish, finish; windows, demotion
 *   hooks.c    the probes, and the memory manager's hooks
 *   migrate.c  the scheduler's hook: can_migrate_task
 *   layout.c   places of fields of the scheduler's private structures
 *   ring.h     rings and decision slots
 *
 * A hook's code runs with preemption off (the probe sees to it), turns
 * interrupts off while it touches its processor's data, takes no lock and
 * allocates nothing.
 */
#ifndef RMT_INTERNAL_H
#define RMT_INTERNAL_H

#include <linux/fprobe.h>
#include <linux/irq_work.h>
#include <linux/percpu.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "ring.h"

/* What is known of the event in a decision slot. */
enum rmt_pending_state {
	RMT_PENDING_NONE,	/* settled: counted as in time, late or unanswered */
	RMT_PENDING_OPEN,	/* sent, the hook has not ended */
	RMT_PENDING_CLOSED,	/* the hook ended without answer */
};

struct rmt_pending {
	u32 tag;
	u32 kernel;		/* the kernel's answer, once closed */
	u8 hook;		/* index */
	u8 state;
};

/* A window of settled events, of one hook on one processor. */
struct rmt_window {
	u32 settled;
	u32 compared;
	u32 agreed;
	u32 late;
	u32 errors;
};

struct rmt_hook_cpu {
	u64 counters[RMT_COUNTER_COUNT];
	struct rmt_window window;
};

struct rmt_cpu {
	struct rmt_ring ring;
	struct rmt_pending *pending;
	u32 oldest;		/* index of the first event that may be outstanding */
	struct irq_work wake;
	struct rmt_hook_cpu hooks[RMT_HOOK_COUNT];
};

/* From the entry of a hooked function to its return. */
struct rmt_call {
	u64 time_ns;
	u32 tag;
	u32 cpu;		/* whose ring holds the event */
	u32 limit;		/* the largest answer that may be used */
	bool forbidden;		/* a rule that no program may break forbids "yes" */
};

/* A hook. Settings are written under rmt_lock, and read by the hook's code at any time. */
struct rmt_hook {
	const char *function;
	bool synchronous;	/* the hooked function waits for the answer */
	bool yes_or_no;		/* the answer is a byte: not zero, or zero */
	/* Whether a mode may use the program's answer in place of the kernel's. */
	bool (*may_use)(u8 mode, u32 program, u32 kernel, const struct rmt_call *call);
	bool (*usable)(void);	/* NULL: on every kernel that has the function */
	struct fprobe probe;
	bool registered;
	u64 unseen;		/* of earlier registrations */
	u8 mode;
	u8 demotion;
	u32 budget_ns;
	u32 window;
	u16 min_agreement;
	u16 max_late;
	u32 max_errors;
	u64 key;
};

extern struct rmt_hook rmt_hooks[RMT_HOOK_COUNT];
DECLARE_PER_CPU(struct rmt_cpu, rmt_cpus);
extern wait_queue_head_t rmt_wait;

/* decide.c: interrupts are off from rmt_begin to rmt_publish, and around rmt_finish */
struct rmt_event *rmt_begin(struct rmt_cpu *cpu, unsigned int hook, u64 key);
void rmt_publish(struct rmt_cpu *cpu, unsigned int hook, struct rmt_call *call);
bool rmt_finish(struct rmt_cpu *cpu, unsigned int hook, const struct rmt_call *call, u32 *kernel);
void rmt_settle_all(void);
bool rmt_put_off(struct rmt_hook *hook, u8 why);

/* hooks.c */
int rmt_hook_register(struct rmt_hook *hook);
void rmt_hook_unregister(struct rmt_hook *hook);

/* migrate.c */
int rmt_migrate_entry(struct fprobe *probe, unsigned long entry_ip, unsigned long ret_ip,
		      struct pt_regs *regs, void *data);
void rmt_migrate_exit(struct fprobe *probe, unsigned long entry_ip, unsigned long ret_ip,
		      struct pt_regs *regs, void *data);
bool rmt_migrate_may_use(u8 mode, u32 program, u32 kernel, const struct rmt_call *call);

/* layout.c */
struct rmt_layout {
	u32 env_sd, env_src_rq, env_src_cpu, env_dst_cpu, env_dst_rq;
	u32 env_idle;
	u32 rq_nr_running, rq_nr_preferred_running, rq_cfs, rq_clock_task;
	u32 cfs_h_nr_queued, cfs_avg, cfs_next, cfs_throttle_count;
	u32 group_cfs_rq;
};

extern struct rmt_layout rmt_layout;
int rmt_layout_read(void);
bool rmt_layout_known(void);

/* device.c */
int rmt_device_init(u32 ring_log2);
void rmt_device_exit(void);
void rmt_device_kill(void);
void rmt_device_wake(struct irq_work *work);

#endif
