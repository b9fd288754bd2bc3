// SPDX-License-Identifier: GPL-2.0
/* The probes, and the hooks of the memory manager. */

#include <linux/fs.h>
#include <linux/hash.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/swap.h>
#include <linux/swapops.h>

#include "internal.h"

/* Most pages that a program may have read ahead at once. */
#define RMT_MAX_READ_AHEAD 1024

/* Entry handlers return this when the function's return need not be followed. */
#define RMT_NO_RETURN 1

static bool is_own(const struct vm_area_struct *vma)
{
	return vma && vma->vm_mm == current->mm;
}

static int unfit(unsigned int index)
{
	this_cpu_inc(rmt_cpus.hooks[index].counters[RMT_COUNTER_CALLS]);
	this_cpu_inc(rmt_cpus.hooks[index].counters[RMT_COUNTER_UNFIT]);
	return RMT_NO_RETURN;
}

/* The fault that each task has sent last; tasks share places by their numbers. */
#define RMT_LAST_FAULTS 1024
static u64 last_faults[RMT_LAST_FAULTS];

/*
 * A fault on a page that is still being read gives up its locks, waits and comes again: the same
 * task, page and slot. That is one fault, and its event was sent. A place that two tasks take turns
 * at lets some pass; it never holds back another page.
 */
static bool comes_again(swp_entry_t entry, unsigned long address)
{
	u64 *last = &last_faults[current->pid % RMT_LAST_FAULTS];
	u64 fault = entry.val * GOLDEN_RATIO_64 ^ address ^ (u64)current->pid << 48;

	if (READ_ONCE(*last) == fault)
		return true;
	WRITE_ONCE(*last, fault);
	return false;
}

/* swap_cache_get_folio(swp_entry_t, struct vm_area_struct *, unsigned long address) */
static int swap_fault_entry(struct fprobe *probe, unsigned long entry_ip, unsigned long ret_ip,
			    struct pt_regs *regs, void *data)
{
	swp_entry_t entry = { .val = regs_get_kernel_argument(regs, 0) };
	struct vm_area_struct *vma = (void *)regs_get_kernel_argument(regs, 1);
	unsigned long address = regs_get_kernel_argument(regs, 2);
	const unsigned int index = RMT_HOOK_DO_SWAP_PAGE - 1;
	struct rmt_event_do_swap_page *event;
	unsigned long flags;

	/* Shared memory, and one process looking into another: no fault of this process. */
	if (!is_own(vma) || comes_again(entry, address))
		return unfit(index);
	local_irq_save(flags);
	event = (void *)rmt_begin(this_cpu_ptr(&rmt_cpus), index, current->tgid);
	if (event) {
		event->vpn = address >> PAGE_SHIFT;
		event->swap_offset = swp_offset(entry);
		rmt_publish(this_cpu_ptr(&rmt_cpus), index, data);
	}
	local_irq_restore(flags);
	return event ? 0 : RMT_NO_RETURN;
}

static void swap_fault_exit(struct fprobe *probe, unsigned long entry_ip, unsigned long ret_ip,
			    struct pt_regs *regs, void *data)
{
	const unsigned int index = RMT_HOOK_DO_SWAP_PAGE - 1;
	u32 was_in_memory = regs_return_value(regs) != 0;
	struct rmt_call *call = data;
	unsigned long flags;

	local_irq_save(flags);
	/* A process that has moved meanwhile must not touch the other processor's ring. */
	if (call->cpu == smp_processor_id())
		rmt_finish(this_cpu_ptr(&rmt_cpus), index, call, &was_in_memory);
	else
		this_cpu_inc(rmt_cpus.hooks[index].counters[RMT_COUNTER_OUTCOMES_LOST]);
	local_irq_restore(flags);
}

/* swapin_readahead(swp_entry_t, gfp_t, struct vm_fault *) */
static int swapin_entry(struct fprobe *probe, unsigned long entry_ip, unsigned long ret_ip,
			struct pt_regs *regs, void *data)
{
	swp_entry_t entry = { .val = regs_get_kernel_argument(regs, 0) };
	struct vm_fault *fault = (void *)regs_get_kernel_argument(regs, 2);
	const unsigned int index = RMT_HOOK_SWAPIN_READAHEAD - 1;
	struct rmt_event_swapin_readahead *event;
	struct rmt_call call = {};
	unsigned long flags;
	u32 answer = 0;

	if (!is_own(fault->vma))
		return unfit(index);
	local_irq_save(flags);
	event = (void *)rmt_begin(this_cpu_ptr(&rmt_cpus), index, current->tgid);
	if (event) {
		event->vpn = fault->address >> PAGE_SHIFT;
		event->swap_offset = swp_offset(entry);
		rmt_publish(this_cpu_ptr(&rmt_cpus), index, &call);
		rmt_finish(this_cpu_ptr(&rmt_cpus), index, &call, &answer);
	}
	local_irq_restore(flags);
	return RMT_NO_RETURN;
}

/* swap_cluster_readahead(swp_entry_t, gfp_t, struct mempolicy *, pgoff_t) */
static int cluster_entry(struct fprobe *probe, unsigned long entry_ip, unsigned long ret_ip,
			 struct pt_regs *regs, void *data)
{
	swp_entry_t entry = { .val = regs_get_kernel_argument(regs, 0) };
	const unsigned int index = RMT_HOOK_SWAP_CLUSTER_READAHEAD - 1;
	struct rmt_event_swap_cluster_readahead *event;
	struct rmt_call call = {};
	unsigned long flags;
	u32 answer = 0;

	local_irq_save(flags);
	event = (void *)rmt_begin(this_cpu_ptr(&rmt_cpus), index, current->tgid);
	if (event) {
		event->swap_offset = swp_offset(entry);
		rmt_publish(this_cpu_ptr(&rmt_cpus), index, &call);
		rmt_finish(this_cpu_ptr(&rmt_cpus), index, &call, &answer);
	}
	local_irq_restore(flags);
	return RMT_NO_RETURN;
}

/* Pages that may be read from a place of a file on: up to its end, or what the kernel wants. */
static u32 read_ahead_limit(struct inode *inode, u64 index, u32 wanted)
{
	u64 pages = DIV_ROUND_UP_ULL((u64)i_size_read(inode), PAGE_SIZE);
	u64 left = pages > index ? min_t(u64, pages - index, RMT_MAX_READ_AHEAD) : 0;

	return max_t(u64, left, wanted);
}

/* page_cache_ra_unbounded(struct readahead_control *, unsigned long, unsigned long lookahead) */
static int read_ahead_entry(struct fprobe *probe, unsigned long entry_ip, unsigned long ret_ip,
			    struct pt_regs *regs, void *data)
{
	struct readahead_control *control = (void *)regs_get_kernel_argument(regs, 0);
	struct inode *inode = control->mapping->host;
	const unsigned int index = RMT_HOOK_PAGE_CACHE_RA_UNBOUNDED - 1;
	struct rmt_event_page_cache_ra_unbounded *event;
	struct rmt_call call = {};
	unsigned long flags;
	u32 pages = min_t(u64, regs->si, U32_MAX);

	if (!pages)
		return unfit(index);
	local_irq_save(flags);
	event = (void *)rmt_begin(this_cpu_ptr(&rmt_cpus), index, inode->i_ino);
	if (event) {
		event->index = readahead_index(control);
		event->nr_to_read = pages;
		event->lookahead_size = min_t(u64, regs->dx, U32_MAX);
		event->device = new_encode_dev(inode->i_sb->s_dev);
		event->pid = current->tgid;
		call.limit = read_ahead_limit(inode, readahead_index(control), pages);
		rmt_publish(this_cpu_ptr(&rmt_cpus), index, &call);
		/* The probe hands the arguments on as they stand in regs. */
		if (rmt_finish(this_cpu_ptr(&rmt_cpus), index, &call, &pages)) {
			regs->si = pages;
			regs->dx = min_t(u64, regs->dx, pages);
		}
	}
	local_irq_restore(flags);
	return RMT_NO_RETURN;
}

static bool read_ahead_may_use(u8 mode, u32 program, u32 kernel, const struct rmt_call *call)
{
	return program && program <= (mode == RMT_MODE_ACT ? call->limit : kernel);
}

struct rmt_hook rmt_hooks[RMT_HOOK_COUNT] = {
	[RMT_HOOK_DO_SWAP_PAGE - 1] = {
		.function = "swap_cache_get_folio",
		.probe = {
			.entry_handler = swap_fault_entry,
			.exit_handler = swap_fault_exit,
			.entry_data_size = sizeof(struct rmt_call),
		},
	},
	[RMT_HOOK_CAN_MIGRATE_TASK - 1] = {
		.function = "can_migrate_task",
		.synchronous = true,
		.yes_or_no = true,
		.usable = rmt_layout_known,
		.may_use = rmt_migrate_may_use,
		.probe = {
			.entry_handler = rmt_migrate_entry,
			.exit_handler = rmt_migrate_exit,
			.entry_data_size = sizeof(struct rmt_call),
		},
	},
	[RMT_HOOK_SWAPIN_READAHEAD - 1] = {
		.function = "swapin_readahead",
		.probe = { .entry_handler = swapin_entry },
	},
	[RMT_HOOK_SWAP_CLUSTER_READAHEAD - 1] = {
		.function = "swap_cluster_readahead",
		.probe = { .entry_handler = cluster_entry },
	},
	[RMT_HOOK_PAGE_CACHE_RA_UNBOUNDED - 1] = {
		.function = "page_cache_ra_unbounded",
		.synchronous = true,
		.may_use = read_ahead_may_use,
		.probe = { .entry_handler = read_ahead_entry },
	},
};

/* Attaches a hook's probe. May sleep; under rmt_lock. */
int rmt_hook_register(struct rmt_hook *hook)
{
	int error;

	if (hook->registered)
		return 0;
	if (hook->usable && !hook->usable())
		return -EOPNOTSUPP;
	error = register_fprobe_syms(&hook->probe, &hook->function, 1);
	if (error)
		return error == -ENOENT ? -EOPNOTSUPP : error;
	hook->registered = true;
	return 0;
}

/* Takes a hook's probe away: no handler runs any more. May sleep; under rmt_lock. */
void rmt_hook_unregister(struct rmt_hook *hook)
{
	if (!hook->registered)
		return;
	unregister_fprobe(&hook->probe);
	hook->unseen += hook->probe.nmissed;
	/*
	 * Unregistering leaves pointers to what it has freed; registering the same structure again
	 * would free it once more.
	 */
	hook->probe = (struct fprobe){
		.entry_handler = hook->probe.entry_handler,
		.exit_handler = hook->probe.exit_handler,
		.entry_data_size = hook->probe.entry_data_size,
	};
	hook->registered = false;
}
