//! The search: what lies on long ways exchanges places with something else, as long as the ways get shorter.
//!
//! What a connection costs grows exponentially with the longest way that it lies on, so those near the longest count, and what
//! is drawn away from a way that is nearly as long costs as much. Each pass takes the cells of such connections in turn: for a table,
//! a flip-flop or both, for a chain of carries, a slice of memory or a block some places are tried, most of them near where
//! its own connections draw it, and the best one is taken if it is better.

use super::delay::net_wire;
use super::design::{Design, Kind};
use super::places::{Parts, Place, Places, QUARTERS};
use super::timing::Timing;

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
/// Places that are tried for a table or a flip-flop, and for a stack of slices.
const TRIES: u32 = 40;
const STACK_TRIES: u32 = 20;
/// How far away in rows, by pass; twice as many columns of the grid, half of which are switches.
const RADII: [i32; 5] = [30, 16, 8, 5, 3];
/// Within so many columns and rows of what draws it a block tries all sites.
const BLOCK_REACH: (i32, i32) = (60, 30);
/// A connection counts as late while it costs so much of what the latest one does.
const LATE: f32 = 0.02;
/// An exchange has to gain so much.
const GAIN: f32 = 0.5;

#[derive(Clone)]
pub(super) struct Search {
    pub(super) design: Design,
    pub(super) places: Places,
    pub(super) timing: Timing,
    random: Random,
    temper: f32,
    moved: Vec<bool>,
}

/// Numbers that look random, the same in each run: xorshift.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn of(seed: u64) -> Self {
        // Never 0.
        Self(0x9e37_79b9_7f4a_7c15 ^ seed << 32)
    }

    fn below(&mut self, limit: u64) -> u64 {
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

impl Search {
    pub(super) fn new(design: Design, places: Places, array_clock_ratio: u32) -> Self {
        let timing = Timing::of(&design, array_clock_ratio);
        let moved = vec![false; design.cells.len()];
        let mut search =
            Self { design, places, timing, random: Random::of(0), temper: FIRST_TEMPER, moved };
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
        self.timing.update(&self.design, &self.places.of_cell);
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
        match self.places.of_cell[cell] {
            Place::Quarter(quarter, _) if self.places.is_free(quarter) => {
                self.improve_quarter(cell, quarter, radius);
                self.improve_registers(cell, radius);
            }
            Place::Quarter(quarter, _) => self.improve_stack(quarter / QUARTERS, radius),
            Place::Slice(slice) => self.improve_stack(slice, radius),
            Place::Block(site) => self.improve_block(cell, site),
            Place::Kept => {}
        }
    }

    /// All of a quarter or the part that is late exchanges places with the same of another one.
    fn improve_quarter(&mut self, cell: usize, quarter: usize, radius: i32) {
        let part = match self.design.cells[cell].kind {
            Kind::FlipFlop => Parts::FLIP_FLOPS,
            _ => Parts::TABLES,
        };
        let choices = [Parts::ALL, part].map(|parts| {
            let cells: Vec<usize> = self.places.cells_of(quarter, parts).collect();
            (parts, self.drawn_to(&cells))
        });
        let here = self.design.cells[cell].at;
        let mut best = (-GAIN, None);
        for attempt in 0..TRIES {
            let (parts, drawn_to) = choices[attempt as usize % 2];
            let around = if self.random.below(3) == 0 { here } else { drawn_to.unwrap_or(here) };
            let at = self.near(around, radius);
            let (half, letter) = (self.random.below(2) as u8, self.random.below(4) as usize);
            let Some(other) = self.places.quarter(at, half, letter) else { continue };
            if other == quarter || !self.places.is_free(other) {
                continue;
            }
            let both = [quarter, other].into_iter();
            let cells: Vec<usize> =
                both.flat_map(|quarter| self.places.cells_of(quarter, parts)).collect();
            let before = self.cost(&cells);
            self.exchange(quarter, other, parts);
            let fits = [quarter, other].iter().all(|&q| self.places.is_valid(&self.design, q));
            let gain = if fits { self.cost(&cells) - before } else { 0.0 };
            self.exchange(quarter, other, parts);
            if gain < best.0 {
                best = (gain, Some((other, parts)));
            }
        }
        if let Some((other, parts)) = best.1 {
            self.exchange(quarter, other, parts);
        }
    }

    fn exchange(&mut self, a: usize, b: usize, parts: Parts) {
        self.places.exchange(&mut self.design, a, b, parts);
    }

    /// A flip-flop finds few slices with its enable and reset: all of its slice, and of its tile, move too.
    fn improve_registers(&mut self, cell: usize, radius: i32) {
        for whole_tile in [false, true] {
            let Place::Quarter(quarter, _) = self.places.of_cell[cell] else { return };
            if self.places.cells_of(quarter, Parts::FLIP_FLOPS).next().is_none() {
                return;
            }
            let slice = quarter / QUARTERS;
            let slices = if whole_tile { self.places.slices_beside(slice) } else { vec![slice] };
            if slices.iter().all(|&slice| self.places.is_loose(slice)) {
                self.improve_slices(&slices, radius);
            }
        }
    }

    /// A chain of carries or a slice of memory moves with all that its slices hold.
    fn improve_stack(&mut self, slice: usize, radius: i32) {
        if let Some(stack) = self.places.stack(slice).map(<[usize]>::to_vec) {
            self.improve_slices(&stack, radius);
        }
    }

    /// Some slices exchange places with as many others, in the same order.
    fn improve_slices(&mut self, stack: &[usize], radius: i32) {
        let own = self.places.cells_of_slices(stack);
        let middle = self.places.tile(stack[stack.len() / 2]);
        let drawn_to = self.drawn_to(&own).unwrap_or(middle);
        let mut best = (-GAIN, None);
        for _ in 0..STACK_TRIES {
            let around = if self.random.below(2) == 0 { middle } else { drawn_to };
            let (x, y) = self.near(around, radius);
            let Some(target) = self.places.target(stack, (x - middle.0, y - middle.1)) else {
                continue;
            };
            let cells = [own.clone(), self.places.cells_of_slices(&target)].concat();
            let before = self.cost(&cells);
            self.places.exchange_slices(&mut self.design, stack, &target);
            let gain = self.cost(&cells) - before;
            self.places.exchange_slices(&mut self.design, stack, &target);
            if gain < best.0 {
                best = (gain, Some(target));
            }
        }
        if let Some(target) = best.1 {
            self.places.exchange_slices(&mut self.design, stack, &target);
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

    fn near(&mut self, (x, y): (i32, i32), radius: i32) -> (i32, i32) {
        (x + self.random.around(2 * radius), y + self.random.around(radius))
    }

    fn wire(&self, net: usize, user: usize) -> f32 {
        net_wire(&self.design, &self.places.of_cell, &self.design.nets[net], user)
    }

    /// What the connections of some cells cost.
    fn cost(&mut self, cells: &[usize]) -> f32 {
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
    fn drawn_to(&self, cells: &[usize]) -> Option<(i32, i32)> {
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
