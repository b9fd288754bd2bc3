//! How late each connection is: the longest way that it lies on, by the longest of all.

use super::delay::{after_clock, before_clock, net_wire, through};
use super::design::{Design, Kind, Pin};
use super::places::Place;

/// Nets in the order in which signals reach them, and what is known of each connection.
#[derive(Clone)]
pub(super) struct Timing {
    order: Vec<usize>,
    /// The array's clock is so many times faster.
    ratio: f32,
    /// By nets: when a signal is there, and when it has to be there at the latest.
    arrival: Vec<f32>,
    required: Vec<f32>,
    /// By nets and the pins that they lead to: the longest way through the connection but for its wire, less the longest of all.
    pub(super) beside: Vec<Vec<f32>>,
    /// The longest way, ps: that of the array's counts as many times as its clock is faster.
    pub(super) longest: f32,
}

/// Earlier and later than any signal.
const NEVER: f32 = 1e6;

impl Timing {
    pub(super) fn of(design: &Design, ratio: u32) -> Self {
        let nets = design.nets.len();
        Self {
            order: order(design),
            ratio: ratio as f32,
            arrival: vec![0.0; nets],
            required: vec![0.0; nets],
            beside: design.nets.iter().map(|net| vec![0.0; net.users.len()]).collect(),
            longest: 0.0,
        }
    }

    /// Takes up where cells stand now.
    pub(super) fn update(&mut self, design: &Design, places: &[Place]) {
        // What begins in the array has a part of the card's cycle: as if it began later. The cycle is the longest way.
        let period = self.longest;
        let later = period * (1.0 - 1.0 / self.ratio);
        for &number in &self.order {
            let net = &design.nets[number];
            let (driver, out) = net.driver;
            let cell = &design.cells[driver];
            self.arrival[number] = match after_clock(cell.kind) {
                Some(delay) => delay + if cell.in_array { later } else { 0.0 },
                None => (cell.inputs.iter())
                    .filter(|input| design.nets[input.net].timed)
                    .filter_map(|input| {
                        let delay = through(cell.kind, input.pin, out)?;
                        let wire = net_wire(design, places, &design.nets[input.net], input.user);
                        Some(self.arrival[input.net] + wire + delay)
                    })
                    .fold(-NEVER, f32::max),
            };
        }
        let mut longest = 0.0_f32;
        for &number in self.order.iter().rev() {
            let net = &design.nets[number];
            let mut earliest = NEVER;
            for user in 0..net.users.len() {
                let required = self.required_at(design, number, user, period);
                self.beside[number][user] = period - (required - self.arrival[number]);
                earliest = earliest.min(required - net_wire(design, places, net, user));
            }
            self.required[number] = earliest;
            if net.timed {
                longest = longest.max(period - (earliest - self.arrival[number]));
            }
        }
        for beside in self.beside.iter_mut().flatten() {
            *beside -= longest;
        }
        self.longest = longest;
    }

    /// When a signal has to be at a pin.
    fn required_at(&self, design: &Design, net: usize, user: usize, period: f32) -> f32 {
        let (number, pin) = design.nets[net].users[user];
        let cell = &design.cells[number];
        let through = cell
            .outputs
            .iter()
            .filter_map(|&(out, net)| Some(self.required[net] - through(cell.kind, pin, out)?));
        let ends = before_clock(cell.kind, pin).map(|before| period - before);
        through.chain(ends).fold(NEVER, f32::min)
    }
}

/// Nets behind those that lead to them through tables and carries.
fn order(design: &Design) -> Vec<usize> {
    let mut seen = vec![false; design.nets.len()];
    let mut order = Vec::with_capacity(seen.len());
    for start in 0..seen.len() {
        let mut stack = Vec::new();
        if !std::mem::replace(&mut seen[start], true) {
            stack.push((start, 0));
        }
        while let Some((net, next)) = stack.pop() {
            let (driver, out) = design.nets[net].driver;
            let cell = &design.cells[driver];
            let leads = |pin: Pin| through(cell.kind, pin, out).is_some();
            match cell.inputs.get(next).filter(|_| is_passed(cell.kind)) {
                Some(input) => {
                    stack.push((net, next + 1));
                    if leads(input.pin) && !std::mem::replace(&mut seen[input.net], true) {
                        stack.push((input.net, 0));
                    }
                }
                None => order.push(net),
            }
        }
    }
    order
}

fn is_passed(kind: Kind) -> bool {
    matches!(kind, Kind::Table | Kind::Carry)
}
