// SPDX-License-Identifier: GPL-2.0
/*
 * The scheduler's hook: may this task move to another processor?
 *
 * The probe runs at the entry of can_migrate_task, where the event is sent, and at its return,
 * where the kernel's own answer is known. So the kernel decides in every mode, the answer comes
 * while it does, both can be compared even while the program acts, and an answer that is used
 * replaces the function's result. Source queue's lock is held and interrupts are off throughout.
 */

#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/sched/topology.h>
#include <linux/topology.h>

#include "internal.h"

/* As in the study whose features these are: warm for 0.5 ms, the scheduler's default. */
#define RMT_WARM_NS 500000

#define RMT_FIELD(type, base, offset) (*(type *)((char *)(base) + rmt_layout.offset))

static s16 saturate16(u64 value)
{
	return min_t(u64, value, S16_MAX);
}

static u32 saturate32(u64 value)
{
	return min_t(u64, value, U32_MAX);
}

static void *queue_of(void *run_queue)
{
	return (char *)run_queue + rmt_layout.rq_cfs;
}

static u64 load_of(void *queue)
{
	return ((struct sched_avg *)((char *)queue + rmt_layout.cfs_avg))->load_avg;
}

#ifdef CONFIG_NUMA_BALANCING
static void fill_faults(struct rmt_event_can_migrate_task *event, struct task_struct *task,
			int src_node, int dst_node)
{
	unsigned long *faults = task->numa_faults;
	s64 delta;

	event->prefer_src = task->numa_preferred_nid == src_node;
	event->prefer_dst = task->numa_preferred_nid == dst_node;
	if (!faults || !task->total_numa_faults)
		return;
	/* Two counts for each node, shared and private; memory faults come first. */
	delta = (s64)(faults[2 * dst_node] + faults[2 * dst_node + 1]) -
		(s64)(faults[2 * src_node] + faults[2 * src_node + 1]);
	event->delta_faults = clamp_t(s64, delta, S32_MIN, S32_MAX);
	event->total_faults = min_t(u64, task->total_numa_faults, S32_MAX);
}
#else
static void fill_faults(struct rmt_event_can_migrate_task *event, struct task_struct *task,
			int src_node, int dst_node)
{
}
#endif

static void fill(struct rmt_event_can_migrate_task *event, struct task_struct *task, void *env)
{
	struct sched_domain *domain = RMT_FIELD(struct sched_domain *, env, env_sd);
	void *src = RMT_FIELD(void *, env, env_src_rq), *src_queue = queue_of(src);
	void *dst = RMT_FIELD(void *, env, env_dst_rq), *dst_queue = queue_of(dst);
	int src_node = cpu_to_node(RMT_FIELD(int, env, env_src_cpu));
	int dst_node = cpu_to_node(RMT_FIELD(int, env, env_dst_cpu));
	u32 running = RMT_FIELD(u32, src, rq_nr_running);
	u32 idle = RMT_FIELD(u32, env, env_idle);
	s64 since = RMT_FIELD(u64, src, rq_clock_task) - task->se.exec_start;

	event->src_non_pref_nr = running > RMT_FIELD(u32, src, rq_nr_preferred_running);
	event->delta_hot = since < RMT_WARM_NS;
	event->cpu_idle = idle == CPU_IDLE;
	event->cpu_not_idle = idle == __CPU_NOT_IDLE;
	event->cpu_newly_idle = idle == CPU_NEWLY_IDLE;
	event->same_node = src_node == dst_node;
	event->src_len = saturate16(RMT_FIELD(u32, src_queue, cfs_h_nr_queued));
	event->dst_len = saturate16(RMT_FIELD(u32, dst_queue, cfs_h_nr_queued));
	event->extra_fails = domain->nr_balance_failed > domain->cache_nice_tries;
	event->buddy_hot = RMT_FIELD(void *, task->se.cfs_rq, cfs_next) == &task->se &&
			   RMT_FIELD(u32, dst, rq_nr_running) > 0;
	event->src_load = saturate32(load_of(src_queue));
	event->dst_load = saturate32(load_of(dst_queue));
	fill_faults(event, task, src_node, dst_node);
}

static bool is_throttled(struct task_struct *task, int cpu)
{
#ifdef CONFIG_CFS_BANDWIDTH
	void **queues = RMT_FIELD(void **, task->sched_task_group, group_cfs_rq);

	return RMT_FIELD(int, queues[cpu], cfs_throttle_count) > 0;
#else
	return false;
#endif
}

/* The rules that no program may break: those by which can_migrate_task itself refuses always. */
static bool is_forbidden(struct task_struct *task, void *env)
{
	int src_cpu = RMT_FIELD(int, env, env_src_cpu), dst_cpu = RMT_FIELD(int, env, env_dst_cpu);

	return !cpumask_test_cpu(dst_cpu, task->cpus_ptr) || task->on_cpu ||
	       ((task->flags & PF_KTHREAD) && task->nr_cpus_allowed == 1) ||
	       is_throttled(task, src_cpu) || is_throttled(task, dst_cpu);
}

int rmt_migrate_entry(struct fprobe *probe, unsigned long entry_ip, unsigned long ret_ip,
		      struct pt_regs *regs, void *data)
{
	struct task_struct *task = (struct task_struct *)regs_get_kernel_argument(regs, 0);
	void *env = (void *)regs_get_kernel_argument(regs, 1);
	struct rmt_cpu *cpu = this_cpu_ptr(&rmt_cpus);
	struct rmt_call *call = data;
	struct rmt_event *event;

	event = rmt_begin(cpu, RMT_HOOK_CAN_MIGRATE_TASK - 1, task->pid);
	if (!event)
		return 1;
	fill((struct rmt_event_can_migrate_task *)event, task, env);
	call->forbidden = is_forbidden(task, env);
	rmt_publish(cpu, RMT_HOOK_CAN_MIGRATE_TASK - 1, call);
	return 0;
}

/* To keep a task where it is can do no harm at once; to move it may be forbidden. */
bool rmt_migrate_may_use(u8 mode, u32 program, u32 kernel, const struct rmt_call *call)
{
	return program <= kernel || (mode == RMT_MODE_ACT && !call->forbidden);
}

void rmt_migrate_exit(struct fprobe *probe, unsigned long entry_ip, unsigned long ret_ip,
		      struct pt_regs *regs, void *data)
{
	u32 answer = (u32)regs_return_value(regs) != 0;

	if (rmt_finish(this_cpu_ptr(&rmt_cpus), RMT_HOOK_CAN_MIGRATE_TASK - 1, data, &answer))
		regs_set_return_value(regs, answer);
}
