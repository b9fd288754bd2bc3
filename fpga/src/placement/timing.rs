//! How late each connection is: the longest way that it lies on, by the longest of all.

use super::design::{Design, Kind, Net};
use super::fabric::Fabric;
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
    pub(super) fn of(fabric: &impl Fabric, design: &Design, ratio: u32) -> Self {
        let nets = design.nets.len();
        Self {
            order: order(fabric, design),
            ratio: ratio as f32,
            arrival: vec![0.0; nets],
            required: vec![0.0; nets],
            beside: design.nets.iter().map(|net| vec![0.0; net.users.len()]).collect(),
            longest: 0.0,
        }
    }

    /// Takes up where cells stand now.
    pub(super) fn update(&mut self, fabric: &impl Fabric, design: &Design, places: &[Place]) {
        // What begins in the array has a part of the card's cycle: as if it began later. The cycle is the longest way.
        let period = self.longest;
        let later = period * (1.0 - 1.0 / self.ratio);
        for &number in &self.order {
            let net = &design.nets[number];
            let (driver, out) = net.driver;
            let cell = &design.cells[driver];
            self.arrival[number] = match fabric.after_clock(cell.kind) {
                Some(delay) => delay + if cell.in_array { later } else { 0.0 },
                None => (cell.inputs.iter())
                    .filter(|input| design.nets[input.net].timed)
                    .filter_map(|input| {
                        let delay = fabric.through(cell.kind, input.pin, out)?;
                        let net = &design.nets[input.net];
                        let wire = net_wire(fabric, design, places, net, input.user);
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
                let required = self.required_at(fabric, design, (number, user), period);
                self.beside[number][user] = period - (required - self.arrival[number]);
                earliest = earliest.min(required - net_wire(fabric, design, places, net, user));
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

    /// When a signal has to be at a pin, by a net and which of its pins it is.
    fn required_at(
        &self,
        fabric: &impl Fabric,
        design: &Design,
        (net, user): (usize, usize),
        period: f32,
    ) -> f32 {
        let (number, pin) = design.nets[net].users[user];
        let cell = &design.cells[number];
        let through = cell.outputs.iter().filter_map(|&(out, net)| {
            Some(self.required[net] - fabric.through(cell.kind, pin, out)?)
        });
        let ends = fabric.before_clock(cell.kind, pin).map(|before| period - before);
        through.chain(ends).fold(NEVER, f32::min)
    }
}

/// The wire of a net to one of its pins.
pub(super) fn net_wire(
    fabric: &impl Fabric,
    design: &Design,
    places: &[Place],
    net: &Net,
    user: usize,
) -> f32 {
    let ((driver, out), (cell, pin)) = (net.driver, net.users[user]);
    let slot = places[driver].slot();
    let together = slot.is_some() && slot == places[cell].slot();
    let pins = net.users.len();
    fabric.wire((&design.cells[driver], out), (&design.cells[cell], pin), pins, together)
}

/// Nets behind those that lead to them through tables and carries.
fn order(fabric: &impl Fabric, design: &Design) -> Vec<usize> {
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
            let passes = cell.kind != Kind::Other && fabric.after_clock(cell.kind).is_none();
            match cell.inputs.get(next).filter(|_| passes) {
                Some(input) => {
                    stack.push((net, next + 1));
                    let leads = fabric.through(cell.kind, input.pin, out).is_some();
                    if leads && !std::mem::replace(&mut seen[input.net], true) {
                        stack.push((input.net, 0));
                    }
                }
                None => order.push(net),
            }
        }
    }
    order
}
