//! Where cells may stand, which stand there, and how they exchange places.
//!
//! Tables and flip-flops stand in slots: up to two of each. Slots are in groups, whose flip-flops have signals in common, and
//! which may have places of a chain of carries or be distributed memory. Such groups move as a whole, with those of
//! their chain. Of a 7-series a group is a slice of four slots, two in a tile; of an ECP5 it is a tile of eight.

use std::collections::HashMap;

use super::design::{Design, bad};
use super::fabric::Fabric;
use crate::error::FpgaError;

/// What may stand in a slot: a table, another one that has inputs in common with it, two flip-flops.
const PARTS: usize = 4;

/// Parts of a slot that exchange places, one bit for each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts(u8);

impl Parts {
    pub(super) const ALL: Self = Self(0b1111);
    pub(super) const TABLES: Self = Self(0b0011);
    pub(super) const FLIP_FLOPS: Self = Self(0b1100);

    fn each(self) -> impl Iterator<Item = usize> {
        (0..PARTS).filter(move |part| self.0 >> part & 1 == 1)
    }
}

/// A kind of block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockKind {
    Memory,
    HalfMemory,
    Multiplier,
}

/// A site of a block.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) at: (i32, i32),
    pub(super) kind: BlockKind,
    /// What nextpnr calls it.
    pub(super) bel: String,
    /// So many sites before it is a larger one that it takes a part of.
    pub(super) part_of: Option<usize>,
    /// So many sites behind it each take a part of it.
    pub(super) has_parts: usize,
}

/// A group of slots.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) at: (i32, i32),
    /// Of two in a tile.
    pub(super) half: u8,
    /// Its tables can be memory.
    pub(super) can_be_memory: bool,
}

/// Where a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A slot and which part of it.
    Slot(usize, usize),
    /// What a group has once: carries of a 7-series, the write port of an ECP5's memory.
    Group(usize),
    Block(usize),
    /// It stays.
    Kept,
}

impl Place {
    /// The slot that it is in.
    pub(super) fn slot(self) -> Option<usize> {
        match self {
            Self::Slot(slot, _) => Some(slot),
            Self::Group(_) | Self::Block(_) | Self::Kept => None,
        }
    }
}

/// The places of a part, and the cells that stand there.
#[derive(Clone)]
pub(super) struct Places {
    /// Slots of a group, and groups of a tile.
    pub(super) slots: usize,
    pub(super) halves: u64,
    /// Cells of a group that moves as a whole may leave it if they are not rigid.
    leave_stacks: bool,
    pub(super) groups: Vec<Group>,
    group_at: HashMap<((i32, i32), u8), usize>,
    /// By slots.
    content: Vec<[Option<usize>; PARTS]>,
    /// By groups: what stands there once, what has places of a chain, what is memory, and what stays.
    once: Vec<Option<usize>>,
    chained: Vec<bool>,
    memory: Vec<bool>,
    kept: Vec<bool>,
    pub(super) sites: Vec<Site>,
    occupants: Vec<Option<usize>>,
    /// Where each cell stands.
    pub(super) of_cell: Vec<Place>,
    /// Groups that move together, and which of these each group is of.
    stacks: Vec<Vec<usize>>,
    stack_of: Vec<Option<usize>>,
}

impl Places {
    /// Those of a part; no cell stands there.
    pub(super) fn of(
        (halves, slots): (u64, usize),
        leave_stacks: bool,
        groups: Vec<Group>,
        sites: Vec<Site>,
    ) -> Self {
        let count = groups.len();
        let numbered = groups.iter().enumerate();
        Self {
            slots,
            halves,
            leave_stacks,
            group_at: numbered.map(|(number, group)| ((group.at, group.half), number)).collect(),
            groups,
            content: vec![[None; PARTS]; count * slots],
            once: vec![None; count],
            chained: vec![false; count],
            memory: vec![false; count],
            kept: vec![false; count],
            occupants: vec![None; sites.len()],
            sites,
            of_cell: Vec::new(),
            stacks: Vec::new(),
            stack_of: vec![None; count],
        }
    }

    /// The next cell of the design stands at a place.
    pub(super) fn put(&mut self, place: Place) {
        let cell = Some(self.of_cell.len());
        match place {
            Place::Slot(slot, part) => self.content[slot][part] = cell,
            Place::Group(group) => self.once[group] = cell,
            Place::Block(site) => self.occupants[site] = cell,
            Place::Kept => {}
        }
        self.of_cell.push(place);
    }

    /// What stands in a group stays there.
    pub(super) fn keep(&mut self, group: usize) {
        self.kept[group] = true;
    }

    /// Words of memory stand in a group.
    pub(super) fn mark_memory(&mut self, group: usize) {
        self.memory[group] = true;
    }

    /// Finds what moves together, once all cells have their places.
    pub(super) fn find_stacks(&mut self, design: &Design) -> Result<(), FpgaError> {
        for chain in design.chains() {
            let groups = chain.iter().map(|&cell| match self.of_cell[cell] {
                Place::Group(group) => Ok(group),
                Place::Slot(slot, _) => Ok(slot / self.slots),
                _ => Err(bad(format!("`{}` stands in no slice", design.cells[cell].name))),
            });
            let mut groups = groups.collect::<Result<Vec<_>, _>>()?;
            groups.dedup();
            self.stacks.push(groups);
        }
        for (number, stack) in self.stacks.iter().enumerate() {
            for &group in stack {
                self.chained[group] = true;
                if self.stack_of[group].replace(number).is_some() {
                    return Err(bad("a slice of two chains"));
                }
            }
        }
        // Memory beside the end of a chain moves with that.
        for group in (0..self.groups.len()).filter(|&group| self.memory[group]) {
            if self.stack_of[group].is_none() {
                self.stack_of[group] = Some(self.stacks.len());
                self.stacks.push(vec![group]);
            }
        }
        Ok(())
    }

    /// The group at a tile.
    pub(super) fn group(&self, at: (i32, i32), half: u8) -> Option<usize> {
        self.group_at.get(&(at, half)).copied()
    }

    /// Whether some parts of a slot may leave it alone.
    pub(super) fn is_free(&self, design: &Design, slot: usize, parts: Parts) -> bool {
        let group = slot / self.slots;
        let stays = |cell: usize| design.cells[cell].rigid;
        !self.kept[group]
            && (self.stack_of[group].is_none() || self.leave_stacks)
            && !self.cells_of(slot, parts).any(stays)
    }

    /// What stands in a slot.
    pub(super) fn content(&self, slot: usize) -> [Option<usize>; PARTS] {
        self.content[slot]
    }

    /// Cells of some parts of a slot.
    pub(super) fn cells_of(&self, slot: usize, parts: Parts) -> impl Iterator<Item = usize> {
        let content = self.content[slot];
        parts.each().filter_map(move |part| content[part])
    }

    /// Two slots exchange some parts.
    pub(super) fn exchange(&mut self, design: &mut Design, a: usize, b: usize, parts: Parts) {
        for part in parts.each() {
            let (of_a, of_b) = (self.content[a][part], self.content[b][part]);
            (self.content[a][part], self.content[b][part]) = (of_b, of_a);
            for (cell, slot) in [(of_a, b), (of_b, a)] {
                let Some(cell) = cell else { continue };
                design.cells[cell].at = self.groups[slot / self.slots].at;
                self.of_cell[cell] = Place::Slot(slot, part);
            }
        }
    }

    /// Whether all in a slot, and the flip-flops of its group, may stand together.
    pub(super) fn is_valid(&self, fabric: &impl Fabric, design: &Design, slot: usize) -> bool {
        fabric.fits_slot(design, self, slot) && self.fits_group(design, slot)
    }

    /// Flip-flops of a group, and of a pair of slots, have signals in common.
    fn fits_group(&self, design: &Design, slot: usize) -> bool {
        let alike = |slots: std::ops::Range<usize>, of: usize| {
            let mut controls = slots
                .flat_map(|slot| self.cells_of(slot, Parts::FLIP_FLOPS))
                .map(|cell| design.cells[cell].controls[of]);
            controls.next().is_none_or(|first| controls.all(|other| other == first))
        };
        let first = slot / self.slots * self.slots;
        let pair = slot / 2 * 2;
        alike(first..first + self.slots, 0) && alike(pair..pair + 2, 1)
    }
}

/// Stacks of groups.
impl Places {
    /// The groups that move with one.
    pub(super) fn stack(&self, group: usize) -> Option<&[usize]> {
        let stack = &self.stacks[self.stack_of[group]?];
        (!stack.iter().any(|&group| self.kept[group])).then_some(stack)
    }

    /// Whether a group moves alone.
    pub(super) fn is_loose(&self, group: usize) -> bool {
        self.stack_of[group].is_none() && !self.kept[group]
    }

    /// All groups of a group's tile.
    pub(super) fn tile_of(&self, group: usize) -> Vec<usize> {
        let halves = 0..self.halves as u8;
        halves.filter_map(|half| self.group(self.groups[group].at, half)).collect()
    }

    /// The tile of a group.
    pub(super) fn tile(&self, group: usize) -> (i32, i32) {
        self.groups[group].at
    }

    /// As many groups in the same order at another place, if the stack may stand there.
    pub(super) fn target(
        &self,
        stack: &[usize],
        (columns, rows): (i32, i32),
    ) -> Option<Vec<usize>> {
        let moved = stack.iter().map(|&group| {
            let Group { at: (x, y), half, .. } = self.groups[group];
            self.group((x + columns, y + rows), half)
        });
        let moved = moved.collect::<Option<Vec<_>>>()?;
        let fits = moved.iter().zip(stack).all(|(&to, &from)| {
            let in_memory = self.memory[to] || self.memory[from];
            let memories = [to, from].iter().all(|&group| self.groups[group].can_be_memory);
            !self.chained[to] && !self.kept[to] && !stack.contains(&to) && (!in_memory || memories)
        });
        fits.then_some(moved)
    }

    /// All cells of some groups.
    pub(super) fn cells_of_groups(&self, groups: &[usize]) -> Vec<usize> {
        let of_group = |&group: &usize| {
            let slots = group * self.slots..(group + 1) * self.slots;
            slots.flat_map(|slot| self.cells_of(slot, Parts::ALL)).chain(self.once[group])
        };
        groups.iter().flat_map(of_group).collect()
    }

    /// A stack and what stands at its target exchange places.
    pub(super) fn exchange_groups(&mut self, design: &mut Design, from: &[usize], to: &[usize]) {
        for (&a, &b) in from.iter().zip(to) {
            for slot in 0..self.slots {
                self.exchange(design, a * self.slots + slot, b * self.slots + slot, Parts::ALL);
            }
            self.once.swap(a, b);
            self.chained.swap(a, b);
            self.memory.swap(a, b);
            self.stack_of.swap(a, b);
            for group in [a, b] {
                if let Some(cell) = self.once[group] {
                    design.cells[cell].at = self.groups[group].at;
                    self.of_cell[cell] = Place::Group(group);
                }
            }
            // Of two stacks that meet, the one of the target is a single group.
            for (was, is) in [(a, b), (b, a)] {
                let Some(stack) = self.stack_of[is] else { continue };
                let number = self.stacks[stack].iter().position(|&group| group == was);
                if let Some(number) = number {
                    self.stacks[stack][number] = is;
                }
            }
        }
    }
}

/// Blocks.
impl Places {
    /// Sites of the same kind as one, within so many columns and rows of a place, where the block could stand.
    pub(super) fn sites_near(
        &self,
        site: usize,
        (x, y): (i32, i32),
        (columns, rows): (i32, i32),
    ) -> Vec<usize> {
        let near = |other: &usize| {
            let Site { at, kind, .. } = self.sites[*other];
            *other != site
                && kind == self.sites[site].kind
                && (at.0 - x).abs() <= columns
                && (at.1 - y).abs() <= rows
                && self.is_open(*other)
        };
        (0..self.sites.len()).filter(near).collect()
    }

    /// Whether no memory of the other size takes its place.
    fn is_open(&self, site: usize) -> bool {
        let Site { part_of, has_parts, .. } = self.sites[site];
        let is_empty = |site: usize| self.occupants[site].is_none();
        part_of.is_none_or(|before| is_empty(site - before))
            && (site + 1..=site + has_parts).all(is_empty)
    }

    /// The site that nextpnr calls so.
    pub(super) fn site(&self, bel: &str) -> Option<usize> {
        self.sites.iter().position(|site| site.bel == bel)
    }

    /// The block at a site.
    pub(super) fn occupant(&self, site: usize) -> Option<usize> {
        self.occupants[site]
    }

    /// Two sites exchange what stands there.
    pub(super) fn exchange_blocks(&mut self, design: &mut Design, a: usize, b: usize) {
        self.occupants.swap(a, b);
        for site in [a, b] {
            if let Some(cell) = self.occupants[site] {
                design.cells[cell].at = self.sites[site].at;
                self.of_cell[cell] = Place::Block(site);
            }
        }
    }
}
