//! Commits at run time: from what a card holds to what it shall hold, as few writes.
//!
//! A commit does not name entries or tensors but compares words: [`lower`](super::lower()) gives the
//! words of the whole program as it shall be, [`BankMirror`] knows what the bank that will
//! be filled holds, and what differs is written. So one way serves for entries that are
//! added, changed and removed, for default actions, for models and for code; and a bank that
//! missed some commits catches up by itself.
//!
//! Contexts and maps are not banked: their records survive a commit. It may bring new ones, for
//! events do not use them before it, and drop old ones; those that stay must keep their
//! layout. A program with another layout is installed anew, or beside the old one: see
//! [`Residents`](super::lower::Residents).

use std::collections::HashMap;

use super::fields::control_commit;
use super::lower::{ProgramPlan, StateUnit};
use super::regions::{CONTROL, ENGINE_BASE, REGIONS, Region};
use super::shape::{FIRST_SLOT_WORD, SLOTS};
use super::{CardImage, CardShape, HostWrite};
use crate::limits::MAX_CONTEXTS;

/// What the host has written into the banks of a card.
#[derive(Clone, Debug)]
pub struct BankMirror {
    /// Words by address, one map for each bank.
    banks: Vec<HashMap<u32, u64>>,
    active: usize,
    /// Descriptors of contexts and maps by address.
    layout: HashMap<u32, u64>,
}

/// The writes of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Whether the first write holds events back, after which the host waits until none runs
    /// (`RUNNING` of control word 0): so it is on a card with one bank.
    pub holds: bool,
    /// All writes, in order; the last one is the commit. It is done when `COMMIT` of control
    /// word 0 reads as 0; until then nothing banked may be written.
    pub writes: Vec<HostWrite>,
}

/// Why a program cannot be put in place of another by a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// The layout of contexts or maps differs.
    #[error(
        "a context or map of the new program is laid out otherwise than the one on the card; install it anew, which clears them"
    )]
    Layout,
}

/// The region of an address, if it is outside the engine.
fn region_of(address: u32) -> Option<Region> {
    REGIONS
        .iter()
        .find(|region| (region.base()..region.base() + region.words()).contains(&address))
        .copied()
}

/// Whether a word stands in banks.
pub fn is_banked(address: u32) -> bool {
    let slots = CONTROL.word(FIRST_SLOT_WORD)..CONTROL.word(FIRST_SLOT_WORD + SLOTS);
    address >= ENGINE_BASE
        || slots.contains(&address)
        || region_of(address).is_some_and(|region| region.banked)
}

/// Words that must be written together with the word at `address`, in order: their first
/// address, and how many.
fn group_of(address: u32) -> (u32, u32) {
    let words = region_of(address).map_or(1, |region| region.group);
    (address & !(words - 1), words)
}

impl CardImage {
    /// The writes that empty contexts and maps of one of the programs.
    pub fn empty_contents(&self, plan: &ProgramPlan) -> Vec<HostWrite> {
        // Units are numbered: first all stores that a card can have, then all maps.
        let stores = self.contexts[plan.contexts.clone()].iter().map(|store| store.number as usize);
        let maps = self.maps[plan.maps.clone()].iter();
        let maps = maps.map(|map| MAX_CONTEXTS + map.number as usize);
        stores.chain(maps).flat_map(|unit| &self.state[unit].clears).copied().collect()
    }
}

impl BankMirror {
    /// A card of a shape of which nothing is known, but that its first bank is active, as
    /// after a reset.
    pub fn new(shape: &CardShape) -> Self {
        let banks = vec![HashMap::new(); shape.banks() as usize];
        Self { banks, active: 0, layout: HashMap::new() }
    }

    /// The bank that the next writes go to.
    fn target(&self) -> usize {
        (self.active + 1) % self.banks.len()
    }

    fn take(&mut self, writes: &[HostWrite]) {
        let target = self.target();
        let banked = writes.iter().filter(|write| is_banked(write.address));
        self.banks[target].extend(banked.map(|write| (write.address, write.value)));
        self.active = target;
    }

    /// The writes that install a program from scratch, and takes note of them: as those of the
    /// image, but without banked words that the bank holds already. The first one holds events
    /// back: before the second one, those that run must have ended.
    pub fn install(&mut self, image: &CardImage) -> Vec<HostWrite> {
        let control = |write: &&HostWrite| write.address == CONTROL.word(0);
        let mut writes: Vec<HostWrite> = image.writes.iter().take(1).copied().collect();
        let layout = image.writes.iter().filter(|write| !is_banked(write.address));
        writes.extend(layout.filter(|write| !control(write)));
        let changed = self.changed(image);
        writes.extend(changed);
        writes.extend(image.writes.last());
        self.installed(image);
        writes
    }

    /// All writes of an image were carried out.
    pub fn installed(&mut self, image: &CardImage) {
        self.take(&image.writes);
        self.take_layout(image);
    }

    fn take_layout(&mut self, image: &CardImage) {
        let descriptors = image.state.iter().flat_map(|unit| &unit.descriptors);
        self.layout = descriptors.map(|write| (write.address, write.value)).collect();
    }

    /// The writes that make contexts and maps which are new.
    fn new_state(&self, image: &CardImage) -> Result<Vec<HostWrite>, UpdateError> {
        let mut writes = Vec::new();
        for StateUnit { descriptors, clears } in &image.state {
            let known = |write: &HostWrite| self.layout.get(&write.address).copied().unwrap_or(0);
            if descriptors.iter().all(|write| write.value == known(write)) {
                continue;
            }
            if descriptors.iter().all(|write| known(write) == 0) {
                writes.extend(descriptors.iter().chain(clears));
            } else if descriptors.iter().any(|write| write.value != 0) {
                return Err(UpdateError::Layout);
            }
            // One that goes is left as it is: events may still run that use it.
        }
        Ok(writes)
    }

    /// The bank, 0 or 1, that events use when all that was given has been carried out.
    pub fn active(&self) -> usize {
        self.active
    }

    /// The writes after which the card runs the programs of `image`, and takes note of them.
    ///
    /// # Errors
    /// [`UpdateError::Layout`]: see there.
    pub fn update(&mut self, image: &CardImage) -> Result<Update, UpdateError> {
        let new_state = self.new_state(image)?;
        let commit = |field: super::fields::BitField| HostWrite {
            address: CONTROL.word(0),
            value: field.insert(1),
        };
        let holds = self.banks.len() == 1;
        let mut writes = Vec::new();
        if holds {
            writes.push(commit(control_commit::HOLD));
        }
        writes.extend(new_state);
        writes.extend(self.changed(image));
        writes.push(commit(control_commit::COMMIT));
        self.take(&writes);
        self.take_layout(image);
        Ok(Update { holds, writes })
    }

    /// Banked words of an image that differ from what the next bank holds, with those that
    /// must be written with them.
    fn changed(&self, image: &CardImage) -> Vec<HostWrite> {
        let known = &self.banks[self.target()];
        let banked: Vec<HostWrite> =
            image.writes.iter().filter(|write| is_banked(write.address)).copied().collect();
        let together = |a: &HostWrite, b: &HostWrite| {
            let (first, words) = group_of(a.address);
            words > 1 && group_of(b.address).0 == first
        };
        let differs = |write: &HostWrite| known.get(&write.address) != Some(&write.value);
        let groups = banked.chunk_by(together).filter(|group| group.iter().any(differs));
        groups.flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::regions::{CONTEXT_SETS, CONTEXTS, MATCH, PARAMETERS};
    use crate::card::{Residents, lower};
    use crate::operand::IntType;
    use crate::program::*;

    /// A table of entries `key -> parameter`.
    fn image(entries: &[(u128, u64)], fields: usize) -> CardImage {
        lower(&program(entries, fields), Ordering::Pure, &CardShape::small()).unwrap()
    }

    fn program(entries: &[(u128, u64)], fields: usize) -> Program {
        let field = |n: usize| ContextField {
            name: format!("f{n}"),
            kind: IntType::U64,
            ring: None,
            writable: true,
            label: Label::Public,
        };
        Program {
            actions: vec![Action {
                name: "act".into(),
                parameters: vec![Parameter { name: "p".into(), kind: IntType::U64 }],
                arguments: 0,
                code: crate::assembly::assemble("exit decided").unwrap(),
                lines: vec![0],
            }],
            tables: vec![Table {
                name: "t".into(),
                kind: MatchKind::Exact,
                key: vec![KeyField {
                    name: "k".into(),
                    kind: IntType::U64,
                    source: KeySource::Event { offset: 8 },
                }],
                capacity: 16,
                actions: vec![0],
                default: None,
                entries: entries
                    .iter()
                    .map(|&(key, parameter)| Entry {
                        matcher: Matcher::Exact { key },
                        priority: 0,
                        call: ActionCall { action: 0, parameters: vec![parameter] },
                    })
                    .collect(),
            }],
            contexts: vec![Context {
                name: "c".into(),
                capacity: 16,
                fields: (0..fields).map(field).collect(),
            }],
            ..Program::default()
        }
    }

    fn regions(update: &Update) -> Vec<(Region, u32)> {
        let words = update.writes.iter().map(|write| region_of(write.address).unwrap());
        let mut counts: Vec<(Region, u32)> = Vec::new();
        for region in words {
            match counts.last_mut() {
                Some((last, count)) if *last == region => *count += 1,
                _ => counts.push((region, 1)),
            }
        }
        counts
    }

    #[test]
    fn only_what_differs_is_written_and_the_other_bank_catches_up() {
        let mut mirror = BankMirror::new(&CardShape::small());
        let first = image(&[(1, 10)], 1);
        mirror.installed(&first);
        assert_eq!(mirror.active(), 1);
        // Installed again, into the other bank: nothing is known of it.
        let mut other = mirror.clone();
        assert_eq!(other.install(&first).len(), first.writes.len());
        // And again: what is not banked, and the first and the last write.
        let kept = first.writes.iter().filter(|write| !is_banked(write.address)).count();
        assert_eq!(other.install(&first).len(), kept);
        // Nothing is known of bank 0: all of the program is written once.
        let all = mirror.update(&first).unwrap();
        let banked = first.writes.iter().filter(|write| is_banked(write.address)).count();
        assert_eq!((all.holds, all.writes.len()), (false, banked + 1));
        // A new entry: its row of parameters and the three words of its slot.
        let second = image(&[(1, 10), (2, 20)], 1);
        let changes = mirror.update(&second).unwrap();
        assert_eq!(regions(&changes), [(PARAMETERS, 4), (MATCH, 3), (CONTROL, 1)]);
        // The other bank gets it with the next commit; the same again is the commit alone.
        assert_eq!(mirror.update(&second).unwrap().writes[..7], changes.writes[..7]);
        assert_eq!(mirror.update(&second).unwrap().writes.len(), 1);
        // It goes: one word clears the slot.
        assert_eq!(regions(&mirror.update(&first).unwrap()), [(MATCH, 1), (CONTROL, 1)]);
    }

    #[test]
    fn with_one_bank_events_are_held() {
        let mut mirror = BankMirror::new(&CardShape::tiny());
        let image = image(&[(1, 10)], 1);
        mirror.installed(&image);
        let update = mirror.update(&image).unwrap();
        assert!(update.holds);
        let words: Vec<u64> = update.writes.iter().map(|write| write.value).collect();
        assert_eq!(words, [control_commit::HOLD.insert(1), control_commit::COMMIT.insert(1)]);
    }

    #[test]
    fn another_layout_is_refused() {
        let mut mirror = BankMirror::new(&CardShape::small());
        mirror.installed(&image(&[], 1));
        assert_eq!(mirror.update(&image(&[], 2)), Err(UpdateError::Layout));
    }

    #[test]
    fn a_second_program_comes_and_goes_while_the_first_one_stays() {
        let shape = CardShape::small();
        let mut mirror = BankMirror::new(&shape);
        let mut residents = Residents::new(&shape).unwrap();
        residents.put(0, program(&[(1, 10)], 1), Ordering::PerKey).unwrap();
        mirror.installed(&residents.image().unwrap());
        let mut second = program(&[(2, 20)], 2);
        second.hook.number = 5;
        residents.put(1, second, Ordering::PerKey).unwrap();
        let update = mirror.update(&residents.image().unwrap()).unwrap();
        // The new store is described and emptied, the one that is in use is left alone.
        let sets =
            update.writes.iter().filter(|write| region_of(write.address) == Some(CONTEXT_SETS));
        assert_eq!(
            sets.map(|write| write.address - CONTEXT_SETS.base()).collect::<Vec<_>>(),
            [4, 5, 6, 7]
        );
        let stores =
            update.writes.iter().filter(|write| region_of(write.address) == Some(CONTEXTS));
        assert!(
            stores.clone().count() == 33 && stores.clone().all(|w| w.address != CONTEXTS.word(0))
        );
        residents.remove(1);
        let update = mirror.update(&residents.image().unwrap()).unwrap();
        assert!(
            update
                .writes
                .iter()
                .all(|write| is_banked(write.address) || write.address == CONTROL.word(0))
        );
        // Its place is free for another one.
        let mut third = program(&[(2, 20)], 3);
        third.hook.number = 6;
        residents.put(1, third, Ordering::PerKey).unwrap();
        assert!(mirror.update(&residents.image().unwrap()).is_ok());
    }
}
