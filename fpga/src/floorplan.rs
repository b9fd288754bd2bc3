//! Where the memory blocks and multipliers of an 85F stand.
//!
//! nextpnr's placer draws everything together as if blocks could stand anywhere among the logic, and then moves them all to
//! the few rows that have sites for them: a third of all wires comes from that move. So a card is placed twice. After
//! the first time each block goes where its wires are shortest, if need be in exchange with another one, until none gains;
//! for the second time they are locked there, and the logic gathers around them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::error::FpgaError;
use crate::netlist::top_cells;

/// A kind of block, and where its sites are: in some rows, four in each group of nine columns.
struct Kind {
    /// What nextpnr calls it.
    name: &'static str,
    rows: &'static [u32],
    /// What a site is called in its tile.
    site: &'static str,
    /// Columns of a group's four sites, and their numbers in `site`.
    columns: [(u32, u32); 4],
}

const KINDS: [Kind; 2] = [
    Kind {
        name: "DP16KD",
        rows: &[22, 46, 70, 82],
        site: "EBR",
        columns: [(0, 0), (2, 1), (4, 2), (6, 3)],
    },
    Kind {
        name: "MULT18X18D",
        rows: &[10, 34, 58],
        site: "MULT18_",
        columns: [(0, 0), (1, 1), (4, 4), (5, 5)],
    },
];
/// Groups of columns: the first one begins here.
const FIRST_COLUMN: u32 = 4;
const GROUP_COLUMNS: u32 = 9;
const GROUPS: u32 = 13;
/// In the middle of a row two columns belong to no group.
const GROUPS_LEFT: u32 = 7;
const MIDDLE_COLUMNS: u32 = 2;
/// A net with more pins is a clock's, which has wires of its own.
const MOST_PINS: usize = 1500;
/// Every exchange makes wires shorter, so it ends without; but soon nearly nothing is gained.
const MOST_ROUNDS: usize = 20;

/// A place that a block can have.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Site {
    x: u32,
    y: u32,
    bel: String,
}

impl Kind {
    fn sites(&self) -> Vec<Site> {
        let columns = (0..GROUPS).flat_map(|group| {
            let middle = if group < GROUPS_LEFT { 0 } else { MIDDLE_COLUMNS };
            let first = FIRST_COLUMN + GROUP_COLUMNS * group + middle;
            self.columns.map(|(column, number)| (first + column, number))
        });
        let columns: Vec<_> = columns.collect();
        let row = |&y: &u32| {
            let site = move |&(x, number): &(u32, u32)| Site {
                x,
                y,
                bel: format!("X{x}/Y{y}/{}{number}", self.site),
            };
            columns.iter().map(site)
        };
        self.rows.iter().flat_map(row).collect()
    }
}

/// All places of blocks: what nextpnr calls the block, column and row, what it calls the place.
pub(crate) fn all_sites() -> impl Iterator<Item = (&'static str, (u32, u32), String)> {
    KINDS.iter().flat_map(|kind| {
        kind.sites().into_iter().map(|site| (kind.name, (site.x, site.y), site.bel))
    })
}

/// What nextpnr writes of a placed design, as far as it is needed here.
#[derive(Deserialize)]
struct Design {
    modules: BTreeMap<String, Module>,
}

#[derive(Deserialize)]
struct Module {
    cells: BTreeMap<String, Cell>,
}

#[derive(Deserialize)]
struct Cell {
    #[serde(rename = "type")]
    kind: String,
    attributes: Attributes,
    connections: BTreeMap<String, Vec<Value>>,
}

#[derive(Deserialize)]
struct Attributes {
    #[serde(rename = "NEXTPNR_BEL")]
    bel: Option<String>,
}

/// Column and row of a site, from its name: `X4/Y22/EBR0`.
pub(crate) fn place(bel: &str) -> Option<(u32, u32)> {
    let (x, rest) = bel.strip_prefix('X')?.split_once("/Y")?;
    let (y, _) = rest.split_once('/')?;
    Some((x.parse().ok()?, y.parse().ok()?))
}

fn no_place(cell: &str, bel: &str) -> FpgaError {
    let problem = format!("{cell} stands on {bel}, which an 85F does not have");
    FpgaError::BadOutput { what: "nextpnr's placement", problem }
}

/// The columns and rows that a net reaches over.
#[derive(Clone, Copy, Debug)]
struct Reach {
    x: (u32, u32),
    y: (u32, u32),
}

impl Reach {
    fn of(x: u32, y: u32) -> Self {
        Self { x: (x, x), y: (y, y) }
    }

    fn and(self, other: Self) -> Self {
        let wider = |a: (u32, u32), b: (u32, u32)| (a.0.min(b.0), a.1.max(b.1));
        Self { x: wider(self.x, other.x), y: wider(self.y, other.y) }
    }

    fn length(self) -> i64 {
        i64::from(self.x.1 - self.x.0 + self.y.1 - self.y.0)
    }
}

/// A net with blocks on it, by their numbers.
#[derive(Default)]
struct Net {
    /// Of its other pins.
    others: Option<Reach>,
    pins: usize,
    blocks: Vec<usize>,
}

/// The blocks among logic that stays where it is.
#[derive(Default)]
struct Floor {
    names: Vec<String>,
    /// Each block's kind, by its number in [`KINDS`], and its site, by its number in [`Kind::sites`].
    at: Vec<(usize, usize)>,
    /// Each block's nets.
    nets_of: Vec<Vec<usize>>,
    nets: Vec<Net>,
    sites: [Vec<Site>; 2],
    /// The block on each site.
    taken: [Vec<Option<usize>>; 2],
}

impl Floor {
    fn new(module: &Module) -> Result<Self, FpgaError> {
        let mut floor =
            Self { sites: [0, 1].map(|kind: usize| KINDS[kind].sites()), ..Self::default() };
        floor.taken = [0, 1].map(|kind: usize| vec![None; floor.sites[kind].len()]);
        let mut nets: BTreeMap<u64, Net> = BTreeMap::new();
        for (name, cell) in &module.cells {
            let Some(bel) = &cell.attributes.bel else { continue };
            let (x, y) = place(bel).ok_or_else(|| no_place(name, bel))?;
            let kind = KINDS.iter().position(|kind| kind.name == cell.kind);
            let block = kind.map(|kind| floor.stand(name, kind, bel)).transpose()?;
            for bit in cell.connections.values().flatten().filter_map(Value::as_u64) {
                let net = nets.entry(bit).or_default();
                net.pins += 1;
                match block {
                    Some(block) if !net.blocks.contains(&block) => net.blocks.push(block),
                    Some(_) => {}
                    None => {
                        let here = Reach::of(x, y);
                        net.others = Some(net.others.map_or(here, |others| others.and(here)));
                    }
                }
            }
        }
        floor.nets = nets.into_values().filter(|net| net.pins <= MOST_PINS).collect();
        floor.nets_of = vec![Vec::new(); floor.names.len()];
        for (number, net) in floor.nets.iter().enumerate() {
            for &block in &net.blocks {
                floor.nets_of[block].push(number);
            }
        }
        Ok(floor)
    }

    /// A block more; its number.
    fn stand(&mut self, name: &str, kind: usize, bel: &str) -> Result<usize, FpgaError> {
        let site = self.sites[kind].iter().position(|site| site.bel == bel);
        let site = site.ok_or_else(|| no_place(name, bel))?;
        let block = self.names.len();
        self.names.push(name.to_owned());
        self.at.push((kind, site));
        self.taken[kind][site] = Some(block);
        Ok(block)
    }

    fn site(&self, block: usize) -> &Site {
        let (kind, site) = self.at[block];
        &self.sites[kind][site]
    }

    /// Half the circumference of a net.
    fn length(&self, net: &Net) -> i64 {
        let blocks = net.blocks.iter().map(|&block| {
            let Site { x, y, .. } = self.site(block);
            Reach::of(*x, *y)
        });
        blocks.chain(net.others).reduce(Reach::and).map_or(0, Reach::length)
    }

    /// Of all nets of one or two blocks.
    fn length_of(&self, block: usize, other: Option<usize>) -> i64 {
        let of_other = other.into_iter().flat_map(|other| &self.nets_of[other]);
        let of_other = of_other.filter(|&&net| !self.nets[net].blocks.contains(&block));
        self.nets_of[block].iter().chain(of_other).map(|&net| self.length(&self.nets[net])).sum()
    }

    /// Moves a block to a site of its kind; who stands there comes to the site that it leaves.
    fn exchange(&mut self, block: usize, site: usize) {
        let (kind, before) = self.at[block];
        self.taken[kind].swap(before, site);
        self.at[block].1 = site;
        if let Some(other) = self.taken[kind][before] {
            self.at[other].1 = before;
        }
    }

    /// Moves a block where all becomes shortest; what it gains.
    fn improve(&mut self, block: usize) -> i64 {
        let (kind, here) = self.at[block];
        let (mut gained, mut best) = (0, here);
        for site in (0..self.sites[kind].len()).filter(|site| *site != here) {
            let other = self.taken[kind][site];
            let before = self.length_of(block, other);
            self.exchange(block, site);
            let gain = before - self.length_of(block, other);
            self.exchange(block, here);
            if gain > gained {
                (gained, best) = (gain, site);
            }
        }
        self.exchange(block, best);
        gained
    }
}

/// Where blocks should stand, by their names, from a placed design as nextpnr writes it.
///
/// # Errors
/// [`FpgaError::BadOutput`] when this is no such design, or not for an 85F.
pub fn block_sites(placed: &[u8]) -> Result<BTreeMap<String, String>, FpgaError> {
    let design: Design =
        serde_json::from_slice(placed).map_err(FpgaError::json("nextpnr's placement"))?;
    let mut sites = BTreeMap::new();
    for module in design.modules.values() {
        let mut floor = Floor::new(module)?;
        for _ in 0..MOST_ROUNDS {
            let gained: i64 = (0..floor.names.len()).map(|block| floor.improve(block)).sum();
            if gained == 0 {
                break;
            }
        }
        for (block, name) in floor.names.iter().enumerate() {
            sites.insert(name.clone(), floor.site(block).bel.clone());
        }
    }
    Ok(sites)
}

/// Locks blocks to sites, in a netlist as yosys writes it.
///
/// # Errors
/// [`FpgaError::BadOutput`] when the netlist has no such blocks.
pub fn lock_blocks(netlist: &mut Value, sites: &BTreeMap<String, String>) -> Result<(), FpgaError> {
    let bad = |problem: String| FpgaError::BadOutput { what: "yosys' netlist", problem };
    let top = top_cells(netlist)?;
    for (name, bel) in sites {
        let cell = top.get_mut(name).ok_or_else(|| bad(format!("no block {name}")))?;
        let attributes = cell.get_mut("attributes").and_then(Value::as_object_mut);
        let attributes = attributes.ok_or_else(|| bad(format!("{name} has no attributes")))?;
        attributes.insert("BEL".to_owned(), bel.as_str().into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::boards::TOP;

    fn cell(kind: &str, bel: &str, nets: &[u64]) -> Value {
        json!({ "type": kind, "attributes": { "NEXTPNR_BEL": bel }, "connections": { "Q": nets, "D": ["0"] } })
    }

    fn sites_of(cells: Value) -> Result<BTreeMap<String, String>, FpgaError> {
        let design = json!({ "modules": { "top": { "cells": cells } } });
        block_sites(design.to_string().as_bytes())
    }

    #[test]
    fn an_85f_has_its_sites() {
        let counts = KINDS.map(|kind| kind.sites().len() as u64);
        let part = crate::boards::Board::find("ulx3s").unwrap().part.resources;
        assert_eq!(counts, [part.block_rams, part.multipliers]);
        let bels = |kind: usize| KINDS[kind].sites().into_iter().map(|site| site.bel);
        // As nextpnr's `ctx.getBels()` lists them, the last one before and the first one behind the middle.
        for bel in ["X4/Y22/EBR0", "X64/Y46/EBR3", "X69/Y46/EBR0", "X120/Y82/EBR3"] {
            assert!(bels(0).any(|site| site == bel), "{bel}");
        }
        for bel in ["X5/Y10/MULT18_1", "X63/Y34/MULT18_5", "X69/Y34/MULT18_0", "X119/Y58/MULT18_5"]
        {
            assert!(bels(1).any(|site| site == bel), "{bel}");
        }
    }

    #[test]
    fn blocks_go_to_their_logic_and_make_room_for_each_other() {
        // Two want the same site; a third one has it, and is drawn to where the first one stands.
        let sites = sites_of(json!({
            "near": cell("TRELLIS_COMB", "X100/Y48/SLICEA.COMB0", &[1, 2, 3]),
            "far": cell("TRELLIS_FF", "X4/Y20/SLICEB.FF1", &[4]),
            "a": cell("DP16KD", "X4/Y22/EBR0", &[1, 2]),
            "b": cell("DP16KD", "X6/Y22/EBR1", &[3]),
            "c": cell("DP16KD", "X100/Y46/EBR2", &[4]),
            "product": cell("MULT18X18D", "X4/Y10/MULT18_0", &[5]),
            "sum": cell("TRELLIS_COMB", "X40/Y50/SLICEA.COMB0", &[5]),
        }))
        .unwrap();
        assert_eq!(sites["a"], "X100/Y46/EBR2", "it has more wires");
        assert!(["X98/Y46/EBR1", "X102/Y46/EBR3"].contains(&sites["b"].as_str()), "{sites:?}");
        assert_eq!(sites["c"], "X4/Y22/EBR0");
        assert_eq!(sites["product"], "X40/Y58/MULT18_0");
        assert_eq!(sites.len(), 4, "blocks alone");
    }

    #[test]
    fn wires_between_blocks_count() {
        // `a` hangs on `b` alone, whose place its logic says.
        let sites = sites_of(json!({
            "logic": cell("TRELLIS_COMB", "X60/Y70/SLICEA.COMB0", &[1, 2, 3, 4]),
            "a": cell("DP16KD", "X4/Y22/EBR0", &[9]),
            "b": cell("DP16KD", "X120/Y22/EBR3", &[1, 2, 3, 4, 9]),
        }))
        .unwrap();
        assert_eq!(sites["b"], "X60/Y70/EBR1");
        assert!(["X58/Y70/EBR0", "X62/Y70/EBR2"].contains(&sites["a"].as_str()), "{sites:?}");
    }

    #[test]
    fn another_part_or_netlist_is_an_error() {
        let error = sites_of(json!({ "a": cell("DP16KD", "X2/Y2/EBR0", &[]) })).unwrap_err();
        assert!(error.to_string().contains("a stands on X2/Y2/EBR0"), "{error}");
        let error = sites_of(json!({ "a": cell("TRELLIS_FF", "R2C2", &[]) })).unwrap_err();
        assert!(error.to_string().contains("a stands on R2C2"), "{error}");
        assert!(block_sites(b"{}").is_err());

        let mut netlist =
            json!({ "modules": { TOP: { "cells": { "a": { "attributes": { "src": "a.v" } } } } } });
        let sites = |name: &str| BTreeMap::from([(name.to_owned(), "X4/Y22/EBR0".to_owned())]);
        lock_blocks(&mut netlist, &sites("a")).unwrap();
        let attributes = &netlist["modules"][TOP]["cells"]["a"]["attributes"];
        assert_eq!(*attributes, json!({ "src": "a.v", "BEL": "X4/Y22/EBR0" }));
        let error = lock_blocks(&mut netlist, &sites("b")).unwrap_err().to_string();
        assert!(error.contains("no block b"), "{error}");
    }
}
