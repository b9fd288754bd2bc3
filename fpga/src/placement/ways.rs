//! Tables in a row move together.
//!
//! What one of them alone gains by going nearer to one of its neighbours, it loses by going away from the other one: a way that
//! leads out and back would stay so.

use super::design::Kind;
use super::fabric::Fabric;
use super::places::Parts;
use super::search::{GAIN, Search};

/// Places that are tried for tables in a row, how many before and behind one move with it, and how near these stand.
const WAY_TRIES: u32 = 8;
const WAY_LENGTH: u64 = 5;
const WAY_NEAR: i32 = 6;

/// Two slots exchange some parts.
#[derive(Clone, Copy)]
struct Move {
    from: usize,
    to: usize,
    parts: Parts,
}

impl<F: Fabric> Search<F> {
    /// Tables before and behind a late one exchange places with others, all as far and in the same direction.
    pub(super) fn improve_way(&mut self, cell: usize, radius: i32) {
        let Some(way) = self.way(cell) else { return };
        let here = self.design.cells[cell].at;
        let Some(drawn_to) = self.drawn_to(&way) else { return };
        let mut best = (-GAIN, None);
        for _ in 0..WAY_TRIES {
            let around = if self.random.below(3) == 0 { here } else { drawn_to };
            let (x, y) = self.near(around, radius);
            let Some(moves) = self.way_moved(&way, (x - here.0, y - here.1)) else { continue };
            let slots = |one: &Move| [one.from, one.to].map(|slot| (slot, one.parts));
            let slots: Vec<(usize, Parts)> = moves.iter().flat_map(slots).collect();
            let cells = slots.iter().flat_map(|&(slot, parts)| self.places.cells_of(slot, parts));
            let cells: Vec<usize> = cells.collect();
            let before = self.cost(&cells);
            self.exchange_all(moves.iter());
            let fits = |&(slot, _): &(usize, Parts)| {
                self.places.is_valid(&self.fabric, &self.design, slot)
            };
            let gain = if slots.iter().all(fits) { self.cost(&cells) - before } else { 0.0 };
            self.exchange_all(moves.iter().rev());
            if gain < best.0 {
                best = (gain, Some(moves));
            }
        }
        if let Some(moves) = best.1 {
            self.exchange_all(moves.iter());
        }
    }

    fn exchange_all<'a>(&mut self, moves: impl Iterator<Item = &'a Move>) {
        for &Move { from, to, parts } in moves {
            self.exchange(from, to, parts);
        }
    }

    /// Some tables before and behind one on the latest way through it, as far as each is near the next.
    fn way(&mut self, cell: usize) -> Option<Vec<usize>> {
        let mut way = vec![cell];
        for forward in [false, true] {
            let most = self.random.below(WAY_LENGTH + 1);
            let mut last = cell;
            for _ in 0..most {
                let Some(next) = self.latest_neighbour(last, forward) else { break };
                let at = [last, next].map(|cell| self.design.cells[cell].at);
                let near = (at[0].0 - at[1].0).abs() <= WAY_NEAR * F::COLUMN
                    && (at[0].1 - at[1].1).abs() <= WAY_NEAR;
                if !near || self.design.cells[next].kind != Kind::Table || way.contains(&next) {
                    break;
                }
                way.push(next);
                last = next;
            }
        }
        (way.len() > 1 && self.design.cells[cell].kind == Kind::Table).then_some(way)
    }

    /// The cell on the latest connection from a cell or to it.
    fn latest_neighbour(&self, cell: usize, forward: bool) -> Option<usize> {
        let cell = &self.design.cells[cell];
        let late = |net: usize, user: usize| self.timing.beside[net][user] + self.wire(net, user);
        let latest = if forward {
            let nets = cell.outputs.iter().map(|&(_, net)| net);
            let nets = nets.filter(|&net| self.design.nets[net].timed);
            nets.flat_map(|net| {
                let users = self.design.nets[net].users.iter().enumerate();
                users.map(move |(user, &(to, _))| (late(net, user), to))
            })
            .max_by(|one, other| one.0.total_cmp(&other.0))
        } else {
            let inputs = cell.inputs.iter().filter(|input| self.design.nets[input.net].timed);
            inputs
                .map(|input| (late(input.net, input.user), self.design.nets[input.net].driver.0))
                .max_by(|one, other| one.0.total_cmp(&other.0))
        };
        latest.map(|(_, cell)| cell)
    }

    /// How tables would move so many columns and rows away, if they may.
    fn way_moved(&mut self, way: &[usize], (columns, rows): (i32, i32)) -> Option<Vec<Move>> {
        let mut moves: Vec<Move> = Vec::with_capacity(way.len());
        for &cell in way {
            let parts = self.moves_alone(cell);
            let from = self.places.of_cell[cell].slot()?;
            let (x, y) = self.design.cells[cell].at;
            let half = self.random.below(self.places.halves) as u8;
            let group = self.places.group((x + columns, y + rows), half)?;
            let slots = self.places.slots;
            let first = self.random.below(slots as u64) as usize;
            let is_open = |slot: usize| {
                let is_taken = moves.iter().any(|one| slot == one.from || slot == one.to);
                !is_taken && self.places.is_free(&self.design, slot, parts)
            };
            let numbers = (0..slots).map(|number| (first + number) % slots);
            let to = numbers
                .map(|number| group * slots + number)
                .find(|&to| to != from && is_open(to))?;
            if !is_open(from) {
                return None;
            }
            moves.push(Move { from, to, parts });
        }
        Some(moves)
    }
}
