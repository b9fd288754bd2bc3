//! The events of a queue pair that have not ended: who asked, and until when.

use bitvec::vec::BitVec;
use rmt_isa::Event;
use rmt_isa::device::MAX_RING_LOG2;

/// Bits of a tag on the card that name the slot; the others count how often it was used.
const SLOT_BITS: u32 = MAX_RING_LOG2;
/// No deadline yet.
const OPEN: u64 = u64::MAX;

/// An event inside: the number of its slot, and which use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    slot: u16,
    /// Uses of the slot, as many bits as the tag has.
    generation: u32,
}

impl Ticket {
    /// The tag that the event has on the card.
    pub fn card_tag(self) -> u32 {
        u32::from(self.slot) | self.generation << SLOT_BITS
    }

    /// The ticket of a tag.
    fn of_card_tag(tag: u32) -> Self {
        Self { slot: (tag & ((1 << SLOT_BITS) - 1)) as u16, generation: tag >> SLOT_BITS }
    }

    /// The number of the slot: smaller than the ring's size.
    pub fn slot(self) -> usize {
        self.slot.into()
    }
}

/// What a tag that came back from the card belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// An event that waits for it.
    Waiting(Ticket),
    /// An event that has ended as late or was cancelled; its slot is free again now.
    Abandoned,
    /// Nothing that is inside.
    Nobody,
}

/// One slot without its event: 16 bytes, so that four share a cache line.
#[derive(Clone)]
struct Slot {
    deadline: u64,
    /// How often the slot was used, as many bits as the tag has, and above whether its event waits.
    state: u32,
    /// Neighbours in the ring of waiting slots.
    older: u16,
    younger: u16,
}

impl Slot {
    const GENERATION: u32 = u32::MAX >> SLOT_BITS;
    const WAITING: u32 = Self::GENERATION + 1;

    #[inline]
    fn generation(&self) -> u32 {
        self.state & Self::GENERATION
    }

    /// Not waiting any more, and a tag of its last use has no owner.
    #[inline]
    fn retire(&mut self) {
        self.state = (self.state + 1) & Self::GENERATION;
    }
}

/// All slots of a queue pair. A slot is free, waiting, or abandoned: its event has ended for the
/// sender, but is still inside the card. Nothing here allocates after `new`.
///
/// The waiting slots form a ring by age, closed by one more slot that is never taken: so whoever
/// enters or leaves has two neighbours, and no case is special.
pub struct Slots {
    events: Vec<Event>,
    /// The last one closes the ring: its neighbours are the youngest and the oldest.
    slots: Vec<Slot>,
    abandoned: BitVec,
    abandoned_count: usize,
    free: Vec<u16>,
}

impl Slots {
    /// Slots for `count` events, at most 2 to the power of [`SLOT_BITS`].
    pub fn new(count: usize) -> Self {
        let end = count as u16;
        Self {
            events: vec![Event::new(0, 0, 0); count],
            slots: vec![Slot { deadline: 0, state: 0, older: end, younger: end }; count + 1],
            abandoned: BitVec::repeat(false, count),
            abandoned_count: 0,
            free: (0..end).rev().collect(),
        }
    }

    /// The number of the slot that closes the ring.
    #[inline]
    fn end(&self) -> u16 {
        self.events.len() as u16
    }

    /// Slots that are not free: what the card still has to answer.
    #[inline]
    pub fn occupied(&self) -> usize {
        self.events.len() - self.free.len()
    }

    /// Events that wait.
    pub fn waiting(&self) -> usize {
        self.occupied() - self.abandoned_count
    }

    /// Whether no event waits.
    #[inline]
    pub fn none_waiting(&self) -> bool {
        self.slots[self.events.len()].younger == self.end()
    }

    /// Takes a slot for an event that has no deadline yet; `None` when all are taken.
    #[inline]
    pub fn take(&mut self, event: &Event) -> Option<Ticket> {
        let number = self.free.pop()?;
        let end = self.end();
        let older = std::mem::replace(&mut self.slots[usize::from(end)].older, number);
        self.slots[usize::from(older)].younger = number;
        self.events[usize::from(number)] = *event;
        let slot = &mut self.slots[usize::from(number)];
        let generation = slot.generation();
        *slot = Slot { deadline: OPEN, state: generation | Slot::WAITING, older, younger: end };
        Some(Ticket { slot: number, generation })
    }

    /// Sets when the events that have no deadline yet are late. They are the youngest.
    #[inline]
    pub fn set_open_deadlines(&mut self, deadline: u64) {
        let mut number = self.slots[self.events.len()].older;
        while let Some(slot) = self.slots.get_mut(usize::from(number))
            && slot.deadline == OPEN
        {
            slot.deadline = deadline;
            number = slot.older;
        }
    }

    /// The event of a ticket that waits.
    #[inline]
    pub fn event(&self, ticket: Ticket) -> &Event {
        &self.events[ticket.slot()]
    }

    /// Whether the event of a ticket waits.
    pub fn is_waiting(&self, ticket: Ticket) -> bool {
        let slot = self.slots.get(ticket.slot());
        slot.is_some_and(|slot| slot.state == ticket.generation | Slot::WAITING)
    }

    /// Whom a tag belongs to. An abandoned slot is freed.
    #[inline]
    pub fn answered(&mut self, card_tag: u32) -> Owner {
        let ticket = Ticket::of_card_tag(card_tag);
        match self.slots.get(ticket.slot()) {
            Some(slot) if slot.state == ticket.generation | Slot::WAITING => {
                return Owner::Waiting(ticket);
            }
            Some(slot) if slot.state == ticket.generation => {}
            _ => return Owner::Nobody,
        }
        // The slot that closes the ring is none of these.
        if !self.abandoned.get(ticket.slot()).is_some_and(|bit| *bit) {
            return Owner::Nobody;
        }
        self.abandoned.set(ticket.slot(), false);
        self.abandoned_count -= 1;
        self.release(ticket.slot);
        Owner::Abandoned
    }

    /// Ends a waiting event that the card has answered: its slot is free.
    #[inline]
    pub fn finish(&mut self, ticket: Ticket) {
        self.unlink(ticket.slot);
        self.release(ticket.slot);
    }

    /// Ends a waiting event that the card has not answered: its slot stays taken until it does.
    pub fn abandon(&mut self, ticket: Ticket) {
        self.unlink(ticket.slot);
        self.slots[ticket.slot()].state = ticket.generation;
        self.abandoned.set(ticket.slot(), true);
        self.abandoned_count += 1;
    }

    /// The oldest waiting event, and when it is late.
    pub fn oldest(&self) -> Option<(Ticket, u64)> {
        let number = self.slots[self.events.len()].younger;
        let slot = &self.slots[usize::from(number)];
        let ticket = Ticket { slot: number, generation: slot.generation() };
        (number != self.end()).then_some((ticket, slot.deadline))
    }

    /// Frees the abandoned slots: the card has forgotten all events. None may wait.
    pub fn forget_abandoned(&mut self) {
        while let Some(index) = self.abandoned.first_one() {
            self.abandoned.set(index, false);
            self.release(index as u16);
        }
        self.abandoned_count = 0;
    }

    /// Takes a slot out of the ring.
    #[inline]
    fn unlink(&mut self, number: u16) {
        let Slot { older, younger, .. } = self.slots[usize::from(number)];
        self.slots[usize::from(older)].younger = younger;
        self.slots[usize::from(younger)].older = older;
    }

    /// Makes a slot free.
    #[inline]
    fn release(&mut self, number: u16) {
        self.slots[usize::from(number)].retire();
        self.free.push(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(tag: u32) -> Event {
        Event::new(1, tag, 0)
    }

    #[test]
    fn a_slot_has_one_owner_and_an_old_tag_has_none() {
        let mut slots = Slots::new(2);
        let first = slots.take(&event(1)).unwrap();
        slots.set_open_deadlines(10);
        let second = slots.take(&event(2)).unwrap();
        assert_eq!(slots.take(&event(3)), None);
        assert_eq!(slots.oldest(), Some((first, 10)));
        assert_eq!(slots.answered(second.card_tag()), Owner::Waiting(second));
        assert_eq!(slots.event(second).tag(), 2);
        slots.finish(second);
        assert_eq!(slots.answered(second.card_tag()), Owner::Nobody);
        let third = slots.take(&event(3)).unwrap();
        assert_eq!(third.slot(), second.slot());
        assert_ne!(third, second);
        assert!(slots.is_waiting(third) && !slots.is_waiting(second));
        assert_eq!(slots.occupied(), 2);
        // Tags that no slot can have.
        assert_eq!(slots.answered(u32::MAX), Owner::Nobody);
        assert_eq!(slots.answered(2), Owner::Nobody);
    }

    #[test]
    fn an_abandoned_slot_is_free_when_the_card_answers_or_forgets() {
        let mut slots = Slots::new(2);
        let first = slots.take(&event(1)).unwrap();
        let second = slots.take(&event(2)).unwrap();
        slots.abandon(first);
        slots.abandon(second);
        assert!(slots.none_waiting() && slots.waiting() == 0 && slots.occupied() == 2);
        assert_eq!(slots.answered(first.card_tag()), Owner::Abandoned);
        assert_eq!(slots.answered(first.card_tag()), Owner::Nobody);
        assert_eq!(slots.occupied(), 1);
        slots.forget_abandoned();
        assert_eq!(slots.occupied(), 0);
        assert_eq!(slots.answered(second.card_tag()), Owner::Nobody);
    }

    #[test]
    fn the_order_of_age_survives_any_order_of_ends() {
        let mut slots = Slots::new(8);
        let mut tickets = Vec::new();
        for tag in 0..8 {
            tickets.push(slots.take(&event(tag)).unwrap());
            if tag < 5 {
                slots.set_open_deadlines(tag.into());
            }
        }
        for &index in &[3, 0, 7, 1] {
            slots.finish(tickets[index]);
        }
        slots.set_open_deadlines(99);
        let mut ages = Vec::new();
        while let Some((ticket, deadline)) = slots.oldest() {
            ages.push((slots.event(ticket).tag(), deadline));
            slots.finish(ticket);
        }
        assert_eq!(ages, [(2, 2), (4, 4), (5, 99), (6, 99)]);
        assert!(slots.none_waiting());
    }

    #[test]
    fn one_that_waits_long_is_the_oldest_however_many_come_and_go() {
        let mut slots = Slots::new(4);
        let patient = slots.take(&event(0)).unwrap();
        slots.set_open_deadlines(1);
        for tag in 1..100 {
            let ticket = slots.take(&event(tag)).unwrap();
            // Some end before they were given a deadline.
            if tag % 3 > 0 {
                slots.set_open_deadlines(1 + u64::from(tag));
            }
            assert_eq!(slots.oldest(), Some((patient, 1)));
            slots.finish(ticket);
        }
        let last = slots.take(&event(100)).unwrap();
        slots.finish(patient);
        assert_eq!(slots.oldest(), Some((last, OPEN)));
        slots.set_open_deadlines(7);
        assert_eq!(slots.oldest(), Some((last, 7)));
    }
}
