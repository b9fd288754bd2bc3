// SPDX-License-Identifier: GPL-2.0
/* The way of an event, on the processor whose hook fired, with interrupts off. */

#include <linux/cpu.h>
#include <linux/kernel.h>
#include <linux/processor.h>
#include <linux/smp.h>
#include <linux/timekeeping.h>

#include "internal.h"

DEFINE_PER_CPU(struct rmt_cpu, rmt_cpus);

static void count(struct rmt_cpu *cpu, unsigned int hook, unsigned int counter)
{
	cpu->hooks[hook].counters[counter]++;
}

/* Puts a hook off; false when it was off already. The first reason stays. */
bool rmt_put_off(struct rmt_hook *hook, u8 why)
{
	if (xchg(&hook->mode, RMT_MODE_OFF) == RMT_MODE_OFF)
		return false;
	WRITE_ONCE(hook->demotion, why);
	return true;
}

/* Judges a full window; a limit that is broken puts the hook off. */
static void judge_window(struct rmt_cpu *cpu, unsigned int index)
{
	struct rmt_hook *hook = &rmt_hooks[index];
	struct rmt_window *window = &cpu->hooks[index].window;
	u64 agreed = 1000ULL * window->agreed, late = 1000ULL * window->late;
	u8 why = RMT_DEMOTION_NONE;

	if (window->errors > READ_ONCE(hook->max_errors))
		why = RMT_DEMOTION_ERRORS;
	else if (late > (u64)READ_ONCE(hook->max_late) * window->settled)
		why = RMT_DEMOTION_LATENCY;
	else if (agreed < (u64)READ_ONCE(hook->min_agreement) * window->compared)
		why = RMT_DEMOTION_ACCURACY;
	memset(window, 0, sizeof(*window));
	if (why == RMT_DEMOTION_NONE || !rmt_put_off(hook, why))
		return;
	count(cpu, index, RMT_COUNTER_DEMOTIONS);
	/* The probe is taken away later, where one may sleep. */
	irq_work_queue(&cpu->wake);
}

/* Counts the end of an event, or of a call that found no place for one. */
static void settle(struct rmt_cpu *cpu, unsigned int index, unsigned int end)
{
	struct rmt_window *window = &cpu->hooks[index].window;
	u32 size = READ_ONCE(rmt_hooks[index].window);

	count(cpu, index, end);
	window->late += end != RMT_COUNTER_IN_TIME;
	window->settled++;
	if (size && window->settled >= size)
		judge_window(cpu, index);
}

/* What the program says, in the kernel's terms. */
static u32 program_of(unsigned int index, u64 output)
{
	return rmt_hooks[index].yes_or_no ? (u8)output != 0 : (u32)output;
}

/* Counts what a decision says beside the kernel's answer; true when it decides. */
static bool compare(struct rmt_cpu *cpu, unsigned int index, const u64 decision[4], u32 kernel)
{
	u32 program = program_of(index, decision[1]);
	struct rmt_window *window = &cpu->hooks[index].window;
	u8 status = decision[0] >> 32;

	if (status != RMT_STATUS_DECIDED) {
		bool abstained = status == RMT_STATUS_ABSTAINED || status == RMT_STATUS_MISSED;

		window->errors += !abstained;
		count(cpu, index, abstained ? RMT_COUNTER_ABSTAINED : RMT_COUNTER_ERRORS);
		return false;
	}
	if (rmt_hooks[index].synchronous) {
		window->compared++;
		window->agreed += program == kernel;
		count(cpu, index, program == kernel ? RMT_COUNTER_AGREED : RMT_COUNTER_DISAGREED);
	}
	return true;
}

/*
 * Settles an event whose hook has ended and that is answered, or, if it must, any: an answer found
 * here is late, or of a hook that waits for nothing. False: it is still outstanding.
 */
static bool settle_slot(struct rmt_cpu *cpu, struct rmt_pending *pending, bool must)
{
	bool waits = rmt_hooks[pending->hook].synchronous;
	unsigned int end = RMT_COUNTER_UNANSWERED;
	u64 decision[4];

	if (pending->state == RMT_PENDING_NONE)
		return true;
	if (pending->state == RMT_PENDING_OPEN && !must)
		return false;
	if (rmt_ring_answer(&cpu->ring, pending->tag, decision)) {
		end = waits ? RMT_COUNTER_LATE : RMT_COUNTER_IN_TIME;
		/* Without the hook's end there is nothing to compare with. */
		if (pending->state == RMT_PENDING_CLOSED || !waits)
			compare(cpu, pending->hook, decision, pending->kernel);
	} else if (!must) {
		return false;
	}
	pending->state = RMT_PENDING_NONE;
	settle(cpu, pending->hook, end);
	return true;
}

/* Settles the oldest events, two at most: what a hook costs is bounded, and none stays behind. */
static void settle_oldest(struct rmt_cpu *cpu)
{
	u32 tail = cpu->ring.event_tail, mask = cpu->ring.mask;
	int steps;

	for (steps = 0; steps < 2 && cpu->oldest != tail; steps++) {
		/* The place of the event that is a whole ring behind is needed now. */
		bool must = tail - cpu->oldest > mask;

		if (!settle_slot(cpu, &cpu->pending[cpu->oldest & mask], must))
			return;
		cpu->oldest++;
	}
}

/*
 * Begins an event: returns its place with tag, hook and key filled in and all
 * arguments zero, or NULL when none is to be sent; every call is counted once.
 */
struct rmt_event *rmt_begin(struct rmt_cpu *cpu, unsigned int index, u64 key)
{
	struct rmt_hook *hook = &rmt_hooks[index];
	u64 wanted = READ_ONCE(hook->key);
	struct rmt_event *event;

	count(cpu, index, RMT_COUNTER_CALLS);
	if (READ_ONCE(hook->mode) == RMT_MODE_OFF || (wanted && wanted != key)) {
		count(cpu, index, RMT_COUNTER_BYPASSED);
		return NULL;
	}
	event = rmt_ring_reserve(&cpu->ring);
	if (!event) {
		/* A daemon that takes nothing any more is too late. */
		settle(cpu, index, RMT_COUNTER_RING_FULL);
		return NULL;
	}
	memset(event, 0, sizeof(*event));
	event->hook = cpu_to_le16(index + 1);
	event->tag = cpu_to_le32(rmt_ring_next_tag(&cpu->ring));
	event->key = cpu_to_le64(key);
	return event;
}

/* Sends the event that was begun. */
void rmt_publish(struct rmt_cpu *cpu, unsigned int index, struct rmt_call *call)
{
	u32 tag = rmt_ring_next_tag(&cpu->ring);
	struct rmt_pending *pending = &cpu->pending[rmt_ring_slot(&cpu->ring, tag)];

	settle_oldest(cpu);
	pending->tag = tag;
	pending->kernel = 0;
	pending->hook = index;
	pending->state = RMT_PENDING_OPEN;
	call->tag = tag;
	call->cpu = smp_processor_id();
	call->time_ns = ktime_get_mono_fast_ns();
	count(cpu, index, RMT_COUNTER_SENT);
	if (rmt_ring_publish(&cpu->ring) && irq_work_queue(&cpu->wake))
		count(cpu, index, RMT_COUNTER_WAKEUPS);
}

/* Looks for the answer, until the budget is used up where the mode lets it be used. */
static bool wait_for_answer(struct rmt_cpu *cpu, unsigned int index, u8 mode,
			    const struct rmt_call *call, u64 decision[4], u64 *now)
{
	u32 budget = READ_ONCE(rmt_hooks[index].budget_ns);
	u64 begun = *now;
	u32 rounds;
	bool found;

	found = rmt_ring_answer(&cpu->ring, call->tag, decision);
	if (found || mode < RMT_MODE_ADVISE)
		return found;
	/* A round takes longer than 1 ns: this ends even if the clock stands still. */
	for (rounds = budget; !found && rounds && *now - call->time_ns < budget; rounds--) {
		cpu_relax();
		found = rmt_ring_answer(&cpu->ring, call->tag, decision);
		*now = ktime_get_mono_fast_ns();
	}
	cpu->hooks[index].counters[RMT_COUNTER_WAIT_NS] += *now - begun;
	return found;
}

static u32 saturate(u64 value)
{
	return min_t(u64, value, U32_MAX - 1);
}

/*
 * Ends an event: takes the answer if it is there in time, and tells the daemon how the hook
 * ended. Returns true when *kernel, the kernel's answer, was replaced by the program's.
 */
bool rmt_finish(struct rmt_cpu *cpu, unsigned int index, const struct rmt_call *call, u32 *kernel)
{
	struct rmt_pending *pending = &cpu->pending[rmt_ring_slot(&cpu->ring, call->tag)];
	struct rmt_hook *hook = &rmt_hooks[index];
	u64 now = ktime_get_mono_fast_ns();
	struct rmt_shim_outcome outcome = {
		.tag = call->tag,
		.hook = index + 1,
		.flags = call->forbidden ? RMT_SHIM_OUTCOME_FORBIDDEN : 0,
		.time_ns = call->time_ns,
		.kernel = *kernel,
		.answer_ns = RMT_SHIM_NO_ANSWER,
	};
	u8 mode = READ_ONCE(hook->mode);
	bool changed = false;
	u64 decision[4];

	/*
	 * The hook was put off meanwhile and all that was outstanding settled, or so many events
	 * came in between that the slot has another.
	 */
	if (pending->tag != call->tag || pending->state != RMT_PENDING_OPEN)
		return false;
	if (!hook->synchronous) {
		/* Its answer is looked for when its slot is needed again. */
		pending->kernel = *kernel;
		pending->state = RMT_PENDING_CLOSED;
	} else if (!wait_for_answer(cpu, index, mode, call, decision, &now)) {
		pending->kernel = *kernel;
		pending->state = RMT_PENDING_CLOSED;
	} else {
		u32 program = program_of(index, decision[1]);
		bool decides = compare(cpu, index, decision, *kernel);

		outcome.flags |= RMT_SHIM_OUTCOME_IN_TIME;
		outcome.program = decides ? program : 0;
		outcome.answer_ns = saturate(now - call->time_ns);
		if (decides && mode >= RMT_MODE_ADVISE) {
			bool may_use = hook->may_use(mode, program, *kernel, call);

			count(cpu, index, may_use ? RMT_COUNTER_USED : RMT_COUNTER_OVERRULED);
			if (may_use) {
				outcome.flags |= RMT_SHIM_OUTCOME_USED;
				changed = program != *kernel;
				*kernel = program;
			}
			if (changed)
				count(cpu, index, RMT_COUNTER_CHANGED);
		}
		pending->state = RMT_PENDING_NONE;
		settle(cpu, index, RMT_COUNTER_IN_TIME);
	}
	outcome.hook_ns = saturate(now - call->time_ns);
	if (!rmt_ring_outcome(&cpu->ring, &outcome))
		count(cpu, index, RMT_COUNTER_OUTCOMES_LOST);
	return changed;
}

static void settle_cpu(struct rmt_cpu *cpu)
{
	u32 slot, hook;

	for (slot = 0; slot <= cpu->ring.mask; slot++)
		if (rmt_hooks[cpu->pending[slot].hook].mode == RMT_MODE_OFF)
			settle_slot(cpu, &cpu->pending[slot], true);
	for (hook = 0; hook < RMT_HOOK_COUNT; hook++)
		if (rmt_hooks[hook].mode == RMT_MODE_OFF)
			memset(&cpu->hooks[hook].window, 0, sizeof(struct rmt_window));
}

static void settle_here(void *unused)
{
	settle_cpu(this_cpu_ptr(&rmt_cpus));
}

/*
 * Settles all that is outstanding of hooks that are off: nothing is added any more, and nothing
 * of them stays uncounted. May sleep.
 */
void rmt_settle_all(void)
{
	int cpu;

	/* Hooks that saw the old mode have preemption off: they end first. */
	synchronize_rcu();
	cpus_read_lock();
	on_each_cpu(settle_here, NULL, 1);
	for_each_possible_cpu(cpu)
		if (!cpu_online(cpu))
			settle_cpu(per_cpu_ptr(&rmt_cpus, cpu));
	cpus_read_unlock();
}
