// SPDX-License-Identifier: GPL-2.0
/*
 * The module's side of the rings in user space, for tests and measurements of the daemon: the
 * code of ring.h with C11's fences in place of the kernel's.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define smp_load_acquire(place) __atomic_load_n(place, __ATOMIC_ACQUIRE)
#define smp_store_release(place, value) __atomic_store_n(place, value, __ATOMIC_RELEASE)
#define smp_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define READ_ONCE(place) __atomic_load_n(&(place), __ATOMIC_RELAXED)

#include "ring.h"

/* Writes the header of shared memory to memory, if there is room; its bytes in any case. */
__u64 rmt_host_layout(void *memory, __u64 bytes, __u32 cpus, __u32 ring_log2)
{
	struct rmt_shim_header header = rmt_ring_layout(cpus, ring_log2);

	if (bytes >= header.bytes)
		memcpy(memory, &header, sizeof(header));
	return header.bytes;
}

/* A ring over memory with a header, beginning at an index. */
struct rmt_ring *rmt_host_ring_new(void *memory, __u32 cpu, __u32 index)
{
	struct rmt_ring *ring = malloc(sizeof(*ring));

	if (!ring)
		abort();
	rmt_ring_init(ring, memory, memory, cpu);
	ring->event_tail = index;
	ring->outcome_tail = index;
	ring->block->event_tail = index;
	ring->block->outcome_tail = index;
	return ring;
}

void rmt_host_ring_free(struct rmt_ring *ring)
{
	free(ring);
}

/* Sends an event under the next tag: 0 when the ring is full, 1, or 2 when the daemon sleeps. */
int rmt_host_send(struct rmt_ring *ring, const struct rmt_event *event, __u32 *tag)
{
	struct rmt_event *place = rmt_ring_reserve(ring);

	if (!place)
		return 0;
	*tag = rmt_ring_next_tag(ring);
	*place = *event;
	place->tag = *tag;
	return rmt_ring_publish(ring) ? 2 : 1;
}

bool rmt_host_answer(const struct rmt_ring *ring, __u32 tag, __u64 decision[4])
{
	return rmt_ring_answer(ring, tag, decision);
}

bool rmt_host_outcome(struct rmt_ring *ring, const struct rmt_shim_outcome *outcome)
{
	return rmt_ring_outcome(ring, outcome);
}
