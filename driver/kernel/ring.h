/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The module's side of the rings and decision slots that it shares with the
 * daemon: one producer, one consumer, no locks. The same code runs in user
 * space (host.c), where it is tested and measured against the daemon's side.
 *
 * The daemon may write anything into shared memory. So the module keeps its own
 * indices, uses what it reads from there only after masking or comparing it,
 * and reads each word once.
 */
#ifndef RMT_RING_H
#define RMT_RING_H

#include "rmt_shim.h"

/* One processor's rings. Only that processor uses it, with interrupts off. */
struct rmt_ring {
	__u32 event_tail;
	__u32 outcome_tail;
	__u32 mask;
	struct rmt_shim_block *block;
	struct rmt_event *events;
	__u64 (*decisions)[4];
	struct rmt_shim_outcome *outcomes;
};

/* The header of shared memory for so many processors, with the places of all parts. */
static inline struct rmt_shim_header rmt_ring_layout(__u32 cpus, __u32 ring_log2)
{
	const __u32 page = RMT_SHIM_PAGE_BYTES;
	struct rmt_shim_header header = {
		.magic = RMT_SHIM_MAGIC,
		.version = RMT_SHIM_VERSION,
		.cpus = cpus,
		.ring_log2 = ring_log2,
		.block_base = page,
		.events_offset = page,
	};

	/* All records divide a page, so that none of these needs more than its size's alignment. */
	header.decisions_offset = header.events_offset +
				  (__u32)(sizeof(struct rmt_event) << ring_log2);
	header.outcomes_offset = header.decisions_offset +
				 (__u32)(sizeof(struct rmt_decision) << ring_log2);
	header.block_stride = header.outcomes_offset +
			      (__u32)(sizeof(struct rmt_shim_outcome) << ring_log2);
	header.block_stride = (header.block_stride + page - 1) / page * page;
	header.bytes = header.block_base + (__u64)cpus * header.block_stride;
	return header;
}

static inline void rmt_ring_init(struct rmt_ring *ring, void *memory,
				 const struct rmt_shim_header *header, unsigned int cpu)
{
	char *block = (char *)memory + header->block_base + (size_t)cpu * header->block_stride;

	ring->event_tail = 0;
	ring->outcome_tail = 0;
	ring->mask = (1U << header->ring_log2) - 1;
	ring->block = (struct rmt_shim_block *)block;
	ring->events = (struct rmt_event *)(block + header->events_offset);
	ring->decisions = (__u64 (*)[4])(block + header->decisions_offset);
	ring->outcomes = (struct rmt_shim_outcome *)(block + header->outcomes_offset);
}

/* The tag of the next event: its index and one, never 0. */
static inline __u32 rmt_ring_next_tag(const struct rmt_ring *ring)
{
	__u32 tag = ring->event_tail + 1;

	return tag ? tag : 1U << 31;
}

/* The decision slot of a tag. */
static inline __u32 rmt_ring_slot(const struct rmt_ring *ring, __u32 tag)
{
	return (tag - 1) & ring->mask;
}

/* The place of the next event, or NULL: the ring is full, or the daemon's head is false. */
static inline struct rmt_event *rmt_ring_reserve(const struct rmt_ring *ring)
{
	/* Pairs with the daemon's release of places that it has read. */
	__u32 head = smp_load_acquire(&ring->block->event_head);

	if (ring->event_tail - head > ring->mask)
		return NULL;
	return &ring->events[ring->event_tail & ring->mask];
}

/* Shows the reserved event to the daemon; true when the daemon sleeps and must be woken. */
static inline bool rmt_ring_publish(struct rmt_ring *ring)
{
	ring->event_tail++;
	/* Pairs with the daemon's acquire: the event is complete. */
	smp_store_release(&ring->block->event_tail, ring->event_tail);
	/* Pairs with the daemon's fence between "I sleep" and its last look at the tail. */
	smp_mb();
	return READ_ONCE(ring->block->sleeping) == 1;
}

/* Takes the decision of a tag if it is there, whole. */
static inline bool rmt_ring_answer(const struct rmt_ring *ring, __u32 tag, __u64 decision[4])
{
	__u64 *slot = ring->decisions[rmt_ring_slot(ring, tag)];

	/* Pairs with the daemon's release: the outputs are complete. */
	decision[0] = smp_load_acquire(&slot[0]);
	if ((__u32)decision[0] != tag)
		return false;
	decision[1] = READ_ONCE(slot[1]);
	decision[2] = READ_ONCE(slot[2]);
	decision[3] = READ_ONCE(slot[3]);
	/* A second writing of the slot has cleared the first word before it changed the others. */
	smp_rmb();
	return READ_ONCE(slot[0]) == decision[0];
}

/* Writes an outcome; false when their ring is full. */
static inline bool rmt_ring_outcome(struct rmt_ring *ring, const struct rmt_shim_outcome *outcome)
{
	/* Pairs with the daemon's release of places that it has read. */
	__u32 head = smp_load_acquire(&ring->block->outcome_head);

	if (ring->outcome_tail - head > ring->mask)
		return false;
	ring->outcomes[ring->outcome_tail & ring->mask] = *outcome;
	ring->outcome_tail++;
	/* Pairs with the daemon's acquire: the outcome is complete. */
	smp_store_release(&ring->block->outcome_tail, ring->outcome_tail);
	return true;
}

#endif
