//! The search: what lies on long ways exchanges places with something else, as long as the ways get shorter.
//!
//! What a connection costs grows exponentially with the longest way that it lies on, so those near the longest count, and what
//! is drawn away from a way that is nearly as long costs as much. Each pass takes the cells of such connections in turn: for a table,
//! a flip-flop or both, for a chain of carries, a group of memory or a block some places are tried, most of them near where
//! its own connections draw it, and the best one is taken if it is better.

use super::design::{Cell, Design, Kind};
use super::fabric::Fabric;
use super::places::{Parts, Place, Places};
use super::timing::{Timing, net_wire};

/// How often all that is late is looked at.
const PASSES: u32 = 120;
/// Ways that are shorter by so much, ps, cost a factor of e less: at first most of the design counts, later only what is late.
const FIRST_TEMPER: f32 = 700.0;
const LAST_TEMPER: f32 = 175.0;
/// What each picosecond of a wire costs besides, so that wires stay short. Signals that lead to many are seldom long for one
/// of them.
const EACH: f32 = 0.015;
const EACH_OF_MANY: f32 = 0.0015;
const MANY: usize = 30;
/// Places that are tried for a table or a flip-flop, and for a stack of groups.
const TRIES: u32 = 40;
const STACK_TRIES: u32 = 20;
/// How far away in rows, by pass, and in columns of logic.
const RADII: [i32; 5] = [30, 16, 8, 5, 3];
/// Within so many columns and rows of what draws it a block tries all sites.
const BLOCK_REACH: (i32, i32) = (60, 30);
/// A connection counts as late while it costs so much of what the latest one does.
const LATE: f32 = 0.02;
/// An exchange has to gain so much.
pub(super) const GAIN: f32 = 0.5;

#[derive(Clone)]
pub(super) struct Search<F> {
    pub(super) fabric: F,
    pub(super) design: Design,
    pub(super) places: Places,
    pub(super) timing: Timing,
    pub(super) random: Random,
    temper: f32,
    moved: Vec<bool>,
}

/// Numbers that look random, the same in each run: xorshift.
#[derive(Clone)]
pub(super) struct Random(u64);

impl Random {
    fn of(seed: u64) -> Self {
        // Never 0.
        Self(0x9e37_79b9_7f4a_7c15 ^ seed << 32)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// From -limit to limit.
    fn around(&mut self, limit: i32) -> i32 {
        self.below(2 * limit as u64 + 1) as i32 - limit
    }
}

impl<F: Fabric> Search<F> {
    pub(super) fn new(fabric: F, design: Design, places: Places, array_clock_ratio: u32) -> Self {
        let timing = Timing::of(&fabric, &design, array_clock_ratio);
        let moved = vec![false; design.cells.len()];
        let mut search = Self {
            fabric,
            design,
            places,
            timing,
            random: Random::of(0),
            temper: FIRST_TEMPER,
            moved,
        };
        // What begins in the array counts by the card's cycle, which is known from the first reckoning on.
        search.update();
        search.update();
        search
    }

    /// The same from where it is, with other random numbers.
    pub(super) fn with_seed(&self, seed: u64) -> Self {
        Self { random: Random::of(seed), ..self.clone() }
    }

    fn update(&mut self) {
        self.timing.update(&self.fabric, &self.design, &self.places.of_cell);
    }

    /// The longest way, ps.
    pub(super) fn longest(&self) -> f32 {
        self.timing.longest
    }

    /// All passes; `hears` how much is done and how long the longest way is.
    pub(super) fn run(&mut self, hears: &mut dyn FnMut(f64, f32)) {
        for pass in 0..PASSES {
            let done = pass as f32 / PASSES as f32;
            self.temper = FIRST_TEMPER * (LAST_TEMPER / FIRST_TEMPER).powf(done);
            hears(done.into(), self.longest());
            let radius = RADII[pass as usize % RADII.len()];
            for cell in self.late() {
                self.improve(cell, radius);
            }
            self.update();
        }
    }

    /// Cells at connections that are late, in random order.
    fn late(&mut self) -> Vec<usize> {
        let mut late = vec![false; self.design.cells.len()];
        for (number, net) in self.design.nets.iter().enumerate().filter(|(_, net)| net.timed) {
            for (user, &(cell, _)) in net.users.iter().enumerate() {
                let wire = self.wire(number, user);
                if ((self.timing.beside[number][user] + wire) / self.temper).exp() >= LATE {
                    late[net.driver.0] = true;
                    late[cell] = true;
                }
            }
        }
        let mut cells: Vec<usize> = (0..late.len()).filter(|&cell| late[cell]).collect();
        for index in (1..cells.len()).rev() {
            cells.swap(index, self.random.below(index as u64 + 1) as usize);
        }
        cells
    }

    fn improve(&mut self, cell: usize, radius: i32) {
        let alone = self.moves_alone(cell);
        match self.places.of_cell[cell] {
            Place::Slot(slot, _) if self.places.is_free(&self.design, slot, alone) => {
                self.improve_slot(cell, slot, alone, radius);
                self.improve_registers(cell, radius);
                if F::MOVES_WAYS {
                    self.improve_way(cell, radius);
                }
            }
            Place::Slot(slot, _) => self.improve_stack(slot / self.places.slots, radius),
            Place::Group(group) => self.improve_stack(group, radius),
            Place::Block(site) => self.improve_block(cell, site),
            Place::Kept => {}
        }
    }

    /// The parts of its slot that a cell moves with.
    pub(super) fn moves_alone(&self, cell: usize) -> Parts {
        match self.design.cells[cell] {
            Cell { tied: true, .. } => Parts::ALL,
            Cell { kind: Kind::FlipFlop, .. } => Parts::FLIP_FLOPS,
            _ => Parts::TABLES,
        }
    }

    /// All of a slot or the part that is late exchanges places with the same of another one.
    fn improve_slot(&mut self, cell: usize, slot: usize, alone: Parts, radius: i32) {
        let choices = [Parts::ALL, alone].map(|parts| {
            let cells: Vec<usize> = self.places.cells_of(slot, parts).collect();
            (parts, self.drawn_to(&cells))
        });
        let here = self.design.cells[cell].at;
        let mut best = (-GAIN, None);
        for attempt in 0..TRIES {
            let (parts, drawn_to) = choices[attempt as usize % 2];
            let around = if self.random.below(3) == 0 { here } else { drawn_to.unwrap_or(here) };
            let at = self.near(around, radius);
            let half = self.random.below(self.places.halves) as u8;
            let number = self.random.below(self.places.slots as u64) as usize;
            let Some(group) = self.places.group(at, half) else { continue };
            let other = group * self.places.slots + number;
            let both = [slot, other];
            if other == slot
                || !both.iter().all(|&slot| self.places.is_free(&self.design, slot, parts))
            {
                continue;
            }
            let cells = both.into_iter().flat_map(|slot| self.places.cells_of(slot, parts));
            let cells: Vec<usize> = cells.collect();
            let before = self.cost(&cells);
            self.exchange(slot, other, parts);
            let fits = |&slot: &usize| self.places.is_valid(&self.fabric, &self.design, slot);
            let gain = if both.iter().all(fits) { self.cost(&cells) - before } else { 0.0 };
            self.exchange(slot, other, parts);
            if gain < best.0 {
                best = (gain, Some((other, parts)));
            }
        }
        if let Some((other, parts)) = best.1 {
            self.exchange(slot, other, parts);
        }
    }

    pub(super) fn exchange(&mut self, a: usize, b: usize, parts: Parts) {
        self.places.exchange(&mut self.design, a, b, parts);
    }

    /// A flip-flop finds few places beside others, with which it has signals in common: all of its group, and of its tile, move too.
    fn improve_registers(&mut self, cell: usize, radius: i32) {
        for whole_tile in [false, true] {
            let Place::Slot(slot, _) = self.places.of_cell[cell] else { return };
            if self.places.cells_of(slot, Parts::FLIP_FLOPS).next().is_none() {
                return;
            }
            let group = slot / self.places.slots;
            let groups = if whole_tile { self.places.tile_of(group) } else { vec![group] };
            let is_more = !whole_tile || groups.len() > 1;
            if is_more && groups.iter().all(|&group| self.places.is_loose(group)) {
                self.improve_groups(&groups, radius);
            }
        }
    }

    /// A chain of carries or a group of memory moves with all that its groups hold.
    fn improve_stack(&mut self, group: usize, radius: i32) {
        if let Some(stack) = self.places.stack(group).map(<[usize]>::to_vec) {
            self.improve_groups(&stack, radius);
        }
    }

    /// Some groups exchange places with as many others, in the same order.
    fn improve_groups(&mut self, stack: &[usize], radius: i32) {
        let own = self.places.cells_of_groups(stack);
        let middle = self.places.tile(stack[stack.len() / 2]);
        let drawn_to = self.drawn_to(&own).unwrap_or(middle);
        let mut best = (-GAIN, None);
        for _ in 0..STACK_TRIES {
            let around = if self.random.below(2) == 0 { middle } else { drawn_to };
            let (x, y) = self.near(around, radius);
            let Some(target) = self.places.target(stack, (x - middle.0, y - middle.1)) else {
                continue;
            };
            let cells = [own.clone(), self.places.cells_of_groups(&target)].concat();
            let before = self.cost(&cells);
            self.places.exchange_groups(&mut self.design, stack, &target);
            let gain = self.cost(&cells) - before;
            self.places.exchange_groups(&mut self.design, stack, &target);
            if gain < best.0 {
                best = (gain, Some(target));
            }
        }
        if let Some(target) = best.1 {
            self.places.exchange_groups(&mut self.design, stack, &target);
        }
    }

    /// A block goes to the best site near what draws it.
    fn improve_block(&mut self, cell: usize, site: usize) {
        let Some(drawn_to) = self.drawn_to(&[cell]) else { return };
        let mut best = (-GAIN, None);
        for other in self.places.sites_near(site, drawn_to, BLOCK_REACH) {
            let cells: Vec<usize> =
                [Some(cell), self.places.occupant(other)].into_iter().flatten().collect();
            let before = self.cost(&cells);
            self.places.exchange_blocks(&mut self.design, site, other);
            let gain = self.cost(&cells) - before;
            self.places.exchange_blocks(&mut self.design, site, other);
            if gain < best.0 {
                best = (gain, Some(other));
            }
        }
        if let Some(other) = best.1 {
            self.places.exchange_blocks(&mut self.design, site, other);
        }
    }

    pub(super) fn near(&mut self, (x, y): (i32, i32), radius: i32) -> (i32, i32) {
        (x + self.random.around(F::COLUMN * radius), y + self.random.around(radius))
    }

    pub(super) fn wire(&self, net: usize, user: usize) -> f32 {
        net_wire(&self.fabric, &self.design, &self.places.of_cell, &self.design.nets[net], user)
    }

    /// What the connections of some cells cost.
    pub(super) fn cost(&mut self, cells: &[usize]) -> f32 {
        for &cell in cells {
            self.moved[cell] = true;
        }
        let mut sum = 0.0;
        for &number in cells {
            let cell = &self.design.cells[number];
            for input in cell.inputs.iter().filter(|input| self.design.nets[input.net].timed) {
                sum += self.connection(input.net, input.user);
            }
            for &(_, net) in &cell.outputs {
                // Those between two of the cells count with their inputs.
                for (user, &(to, _)) in self.design.nets[net].users.iter().enumerate() {
                    if !self.moved[to] {
                        sum += self.connection(net, user);
                    }
                }
            }
        }
        for &cell in cells {
            self.moved[cell] = false;
        }
        sum
    }

    fn connection(&self, net: usize, user: usize) -> f32 {
        // What is less than e^-9 of the latest is nothing; what gets far later than that is as bad as can be.
        const NOTHING: f32 = -9.0;
        const WORST: f32 = 20.0;
        let wire = self.wire(net, user);
        let lateness = (self.timing.beside[net][user] + wire) / self.temper;
        let late = if lateness > NOTHING { lateness.min(WORST).exp() * self.temper } else { 0.0 };
        let each = if self.design.nets[net].users.len() < MANY { EACH } else { EACH_OF_MANY };
        late + wire * each
    }

    /// The middle of what the connections of some cells lead to, by how late they would be with a usual wire.
    pub(super) fn drawn_to(&self, cells: &[usize]) -> Option<(i32, i32)> {
        const USUAL_WIRE: f32 = 600.0;
        let (mut x, mut y, mut all) = (0.0, 0.0, 0.0);
        let mut draws = |other: usize, net: usize, user: usize| {
            if cells.contains(&other) || self.places.of_cell[other] == Place::Kept {
                return;
            }
            let weight = ((self.timing.beside[net][user] + USUAL_WIRE) / self.temper).exp();
            let at = self.design.cells[other].at;
            x += at.0 as f32 * weight;
            y += at.1 as f32 * weight;
            all += weight;
        };
        for &number in cells {
            let cell = &self.design.cells[number];
            for input in cell.inputs.iter().filter(|input| self.design.nets[input.net].timed) {
                draws(self.design.nets[input.net].driver.0, input.net, input.user);
            }
            for &(_, net) in &cell.outputs {
                for (user, &(to, _)) in self.design.nets[net].users.iter().enumerate() {
                    draws(to, net, user);
                }
            }
        }
        (all > 0.0).then(|| ((x / all) as i32, (y / all) as i32))
    }
}
