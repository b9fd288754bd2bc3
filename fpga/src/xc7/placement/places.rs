//! Where cells may stand, which stand there, and how they exchange places.
//!
//! A tile of logic has two slices, a slice four quarters, a quarter two tables and two flip-flops. Besides, a slice may have
//! four places of a chain of carries, or be distributed memory: then it moves as a whole, with the slices of its chain.

use std::collections::HashMap;

use super::design::{Cell, Design, Kind, Pin, bad, tile_of};
use crate::error::FpgaError;
use crate::xc7::lone::KEPT_FREE;

/// Quarters of a slice.
pub(super) const QUARTERS: usize = 4;
/// What may stand in a quarter: the table of six inputs, that of five, two flip-flops.
const PARTS: [&str; 4] = ["6LUT", "5LUT", "FF", "5FF"];

/// Parts of a quarter that exchange places, one bit for each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts(u8);

impl Parts {
    pub(super) const ALL: Self = Self(0b1111);
    pub(super) const TABLES: Self = Self(0b0011);
    pub(super) const FLIP_FLOPS: Self = Self(0b1100);

    fn each(self) -> impl Iterator<Item = usize> {
        (0..PARTS.len()).filter(move |part| self.0 >> part & 1 == 1)
    }
}

/// A kind of block, and how nextpnr names its sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockKind {
    /// 36 Kbit
    Memory36,
    /// 18 Kbit: two in the tile of one of 36.
    Memory18,
    Multiplier,
}

impl BlockKind {
    fn site(self) -> (&'static str, &'static str) {
        match self {
            Self::Memory36 => ("RAMB36", "RAMB36E1"),
            Self::Memory18 => ("RAMB18", "RAMB18E1"),
            Self::Multiplier => ("DSP48", "DSP48E1"),
        }
    }
}

/// A site of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site {
    pub(super) at: (i32, i32),
    pub(super) kind: BlockKind,
    /// Of two in a tile.
    half: u8,
}

/// Where a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A quarter and which part of it.
    Quarter(usize, usize),
    /// The carries of a slice.
    Slice(usize),
    Block(usize),
    /// It stays.
    Kept,
}

impl Place {
    /// The quarter that it is in.
    pub(super) fn quarter(self) -> Option<usize> {
        match self {
            Self::Quarter(quarter, _) => Some(quarter),
            Self::Slice(_) | Self::Block(_) | Self::Kept => None,
        }
    }
}

/// The places of a part, and the cells that stand there.
#[derive(Clone)]
pub(super) struct Places {
    /// Of each slice: its tile, and which of two it is.
    slices: Vec<((i32, i32), u8)>,
    slice_at: HashMap<((i32, i32), u8), usize>,
    /// Slices whose tables can be memory.
    can_be_memory: Vec<bool>,
    /// By quarters.
    content: Vec<[Option<usize>; 4]>,
    /// By slices.
    carries: Vec<Option<usize>>,
    memory: Vec<bool>,
    kept: Vec<bool>,
    sites: Vec<Site>,
    occupants: Vec<Option<usize>>,
    /// Where each cell stands.
    pub(super) of_cell: Vec<Place>,
    /// Slices that move together, and which of these each slice is of.
    stacks: Vec<Vec<usize>>,
    stack_of: Vec<Option<usize>>,
}

impl Places {
    /// Those of a part, by kind, column and row of its tiles, and the cells of a design in them.
    pub(super) fn of<'a>(
        tiles: impl Iterator<Item = (&'a str, u32, u32)>,
        design: &Design,
    ) -> Result<Self, FpgaError> {
        let mut places = Self {
            slices: Vec::new(),
            slice_at: HashMap::new(),
            can_be_memory: Vec::new(),
            content: Vec::new(),
            carries: Vec::new(),
            memory: Vec::new(),
            kept: Vec::new(),
            sites: Vec::new(),
            occupants: Vec::new(),
            of_cell: Vec::new(),
            stacks: Vec::new(),
            stack_of: Vec::new(),
        };
        let mut tiles: Vec<_> = tiles.collect();
        // The list of tiles has no order of its own, and the same design shall always be placed alike.
        tiles.sort_by_key(|&(_, x, y)| (x, y));
        for (kind, x, y) in tiles {
            places.add_tile(kind, (x as i32, y as i32));
        }
        let slices = places.slices.len();
        places.content = vec![[None; 4]; slices * QUARTERS];
        places.carries = vec![None; slices];
        places.memory = vec![false; slices];
        places.kept = vec![false; slices];
        places.stack_of = vec![None; slices];
        places.occupants = vec![None; places.sites.len()];
        let sites = (places.sites.iter().enumerate())
            .map(|(index, site)| ((site.at, site.kind.site().0, site.half), index))
            .collect();
        for number in 0..design.cells.len() {
            let place = places.read_place(design, number, &sites)?;
            places.of_cell.push(place);
        }
        places.find_stacks(design)?;
        Ok(places)
    }

    fn add_tile(&mut self, kind: &str, at: (i32, i32)) {
        if kind.starts_with("CLBL") {
            for half in 0..2 {
                self.slice_at.insert((at, half), self.slices.len());
                self.slices.push((at, half));
                self.can_be_memory.push(kind.starts_with("CLBLM") && half == 0);
            }
        }
        let of_kind: &[(BlockKind, u8)] = match kind {
            "BRAM_L" | "BRAM_R" => {
                &[(BlockKind::Memory36, 0), (BlockKind::Memory18, 0), (BlockKind::Memory18, 1)]
            }
            "DSP_L" | "DSP_R" => &[(BlockKind::Multiplier, 0), (BlockKind::Multiplier, 1)],
            _ => &[],
        };
        self.sites.extend(of_kind.iter().map(|&(kind, half)| Site { at, kind, half }));
    }

    /// The place that a cell's `bel` names; the cell stands there from now on.
    fn read_place(
        &mut self,
        design: &Design,
        number: usize,
        sites: &HashMap<((i32, i32), &str, u8), usize>,
    ) -> Result<Place, FpgaError> {
        let cell = &design.cells[number];
        if cell.kind == Kind::Other {
            return Ok(Place::Kept);
        }
        let unknown = || bad(format!("`{}` stands at `{}`", cell.name, cell.bel));
        let (at, rest) = tile_of(&cell.bel).ok_or_else(unknown)?;
        // RAMB18_X0Y1, SLICE_X1Y0: of two in a tile, blocks have numbers by rows, slices by columns.
        let (site, bel) = rest.split_once('.').ok_or_else(unknown)?;
        let (kind, half) = site.split_once("_X").ok_or_else(unknown)?;
        let (column, row) = half.split_once('Y').ok_or_else(unknown)?;
        let half = |digit: &str| digit.parse::<u8>().map_err(|_| unknown());
        if let Kind::Memory | Kind::Multiplier = cell.kind {
            let &site = sites.get(&(at, kind, half(row)?)).ok_or_else(unknown)?;
            self.occupants[site] = Some(number);
            return Ok(Place::Block(site));
        }
        let half = half(column).ok().filter(|_| kind == "SLICE").ok_or_else(unknown)?;
        let &slice = self.slice_at.get(&(at, half)).ok_or_else(unknown)?;
        if cell.kind == Kind::Carry {
            self.carries[slice] = Some(number);
            return Ok(Place::Slice(slice));
        }
        let letter = bel.bytes().next().map(|letter| usize::from(letter.wrapping_sub(b'A')));
        let letter = letter.filter(|letter| *letter < QUARTERS).ok_or_else(unknown)?;
        let part = PARTS.iter().position(|part| bel.get(1..) == Some(part)).ok_or_else(unknown)?;
        let quarter = slice * QUARTERS + letter;
        self.content[quarter][part] = Some(number);
        self.memory[slice] |= design.is_memory(number);
        self.kept[slice] |= cell.name.starts_with(KEPT_FREE);
        Ok(Place::Quarter(quarter, part))
    }

    fn find_stacks(&mut self, design: &Design) -> Result<(), FpgaError> {
        for chain in design.chains() {
            let slices = chain.iter().map(|&cell| match self.of_cell[cell] {
                Place::Slice(slice) => Ok(slice),
                _ => Err(bad(format!("`{}` stands in no slice", design.cells[cell].name))),
            });
            let slices = slices.collect::<Result<Vec<_>, _>>()?;
            self.stacks.push(slices);
        }
        for (number, stack) in self.stacks.iter().enumerate() {
            for &slice in stack {
                if self.stack_of[slice].replace(number).is_some() {
                    return Err(bad("a slice of two chains"));
                }
            }
        }
        // Memory beside the end of a chain moves with that.
        for slice in (0..self.slices.len()).filter(|&slice| self.memory[slice]) {
            if self.stack_of[slice].is_none() {
                self.stack_of[slice] = Some(self.stacks.len());
                self.stacks.push(vec![slice]);
            }
        }
        Ok(())
    }

    /// The quarter of a slice at a tile.
    pub(super) fn quarter(&self, at: (i32, i32), half: u8, letter: usize) -> Option<usize> {
        self.slice_at.get(&(at, half)).map(|slice| slice * QUARTERS + letter)
    }

    /// Whether what stands in a quarter may leave it alone.
    pub(super) fn is_free(&self, quarter: usize) -> bool {
        self.is_loose(quarter / QUARTERS)
    }

    /// Whether a slice moves alone.
    pub(super) fn is_loose(&self, slice: usize) -> bool {
        self.stack_of[slice].is_none() && !self.kept[slice]
    }

    /// A slice and the one beside it in its tile.
    pub(super) fn slices_beside(&self, slice: usize) -> Vec<usize> {
        let at = self.tile(slice);
        [0, 1].into_iter().filter_map(|half| self.slice_at.get(&(at, half)).copied()).collect()
    }

    /// Cells of some parts of a quarter.
    pub(super) fn cells_of(&self, quarter: usize, parts: Parts) -> impl Iterator<Item = usize> {
        let content = self.content[quarter];
        parts.each().filter_map(move |part| content[part])
    }

    /// Two quarters exchange some parts.
    pub(super) fn exchange(&mut self, design: &mut Design, a: usize, b: usize, parts: Parts) {
        for part in parts.each() {
            let (of_a, of_b) = (self.content[a][part], self.content[b][part]);
            (self.content[a][part], self.content[b][part]) = (of_b, of_a);
            for (cell, quarter) in [(of_a, b), (of_b, a)] {
                let Some(cell) = cell else { continue };
                design.cells[cell].at = self.slices[quarter / QUARTERS].0;
                self.of_cell[cell] = Place::Quarter(quarter, part);
            }
        }
    }

    /// Whether flip-flops and tables of a quarter, and the flip-flops of its slice, may stand together.
    pub(super) fn is_valid(&self, design: &Design, quarter: usize) -> bool {
        self.fits_quarter(design, quarter) && self.fits_slice(design, quarter / QUARTERS)
    }

    /// A quarter has one wire past its tables, and one output beside theirs.
    fn fits_quarter(&self, design: &Design, quarter: usize) -> bool {
        let [six, five, first, second] = self.content[quarter];
        let data = |flip_flop: usize| design.cells[flip_flop].net_at(Pin::Data);
        let driver = |net: usize| Some(design.nets[net].driver.0);
        // What does not come from a table of the quarter takes the wire past them.
        let past = |flip_flop: Option<usize>, direct: &[Option<usize>]| {
            data(flip_flop?).filter(|&net| !direct.contains(&driver(net)))
        };
        let passes = [past(first, &[six, five]), past(second, &[five])];
        if let [Some(one), Some(other)] = passes
            && one != other
        {
            return false;
        }
        // The second flip-flop has the output that the table of five inputs needs for all but flip-flops beside it.
        let (Some(five), Some(_)) = (five, second) else { return true };
        design.cells[five].outputs.iter().all(|&(_, net)| match design.nets[net].users[..] {
            [] => true,
            [(cell, pin)] => pin == Pin::Data && [first, second].contains(&Some(cell)),
            _ => false,
        })
    }

    /// Flip-flops of a slice have clock, enable and reset in common.
    fn fits_slice(&self, design: &Design, slice: usize) -> bool {
        let quarters = slice * QUARTERS..(slice + 1) * QUARTERS;
        let mut flip_flops = quarters.flat_map(|quarter| self.cells_of(quarter, Parts::FLIP_FLOPS));
        let control = |cell: usize| {
            let cell: &Cell = &design.cells[cell];
            [Pin::Clock, Pin::Enable, Pin::Reset].map(|pin| cell.net_at(pin))
        };
        let Some(first) = flip_flops.next() else { return true };
        let first = control(first);
        flip_flops.all(|other| control(other) == first)
    }
}

/// Stacks of slices.
impl Places {
    /// The slices that move with one.
    pub(super) fn stack(&self, slice: usize) -> Option<&[usize]> {
        let stack = &self.stacks[self.stack_of[slice]?];
        (!stack.iter().any(|&slice| self.kept[slice])).then_some(stack)
    }

    /// The tile of a slice.
    pub(super) fn tile(&self, slice: usize) -> (i32, i32) {
        self.slices[slice].0
    }

    /// As many slices in the same order at another place, if the stack may stand there.
    pub(super) fn target(
        &self,
        stack: &[usize],
        (columns, rows): (i32, i32),
    ) -> Option<Vec<usize>> {
        let moved = stack.iter().map(|&slice| {
            let ((x, y), half) = self.slices[slice];
            self.slice_at.get(&((x + columns, y + rows), half)).copied()
        });
        let moved = moved.collect::<Option<Vec<_>>>()?;
        let fits = moved.iter().zip(stack).all(|(&to, &from)| {
            let in_memory = self.memory[to] || self.memory[from];
            let memories = [to, from].iter().all(|&slice| self.can_be_memory[slice]);
            self.carries[to].is_none()
                && !self.kept[to]
                && !stack.contains(&to)
                && (!in_memory || memories)
        });
        fits.then_some(moved)
    }

    /// All cells of some slices.
    pub(super) fn cells_of_slices(&self, slices: &[usize]) -> Vec<usize> {
        let of_slice = |&slice: &usize| {
            let quarters = slice * QUARTERS..(slice + 1) * QUARTERS;
            let cells = quarters.flat_map(|quarter| self.cells_of(quarter, Parts::ALL));
            cells.chain(self.carries[slice])
        };
        slices.iter().flat_map(of_slice).collect()
    }

    /// A stack and what stands at its target exchange places.
    pub(super) fn exchange_slices(&mut self, design: &mut Design, from: &[usize], to: &[usize]) {
        for (&a, &b) in from.iter().zip(to) {
            for letter in 0..QUARTERS {
                self.exchange(design, a * QUARTERS + letter, b * QUARTERS + letter, Parts::ALL);
            }
            self.carries.swap(a, b);
            self.memory.swap(a, b);
            self.stack_of.swap(a, b);
            for slice in [a, b] {
                if let Some(cell) = self.carries[slice] {
                    design.cells[cell].at = self.slices[slice].0;
                    self.of_cell[cell] = Place::Slice(slice);
                }
            }
            // Of two stacks that meet, the one of the target is a single slice.
            for (was, is) in [(a, b), (b, a)] {
                let Some(stack) = self.stack_of[is] else { continue };
                let number = self.stacks[stack].iter().position(|&slice| slice == was);
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
        let kind = self.sites[site].kind;
        let near = |other: &usize| {
            let Site { at, kind: other_kind, .. } = self.sites[*other];
            *other != site
                && other_kind == kind
                && (at.0 - x).abs() <= columns
                && (at.1 - y).abs() <= rows
                && self.is_open(*other)
        };
        (0..self.sites.len()).filter(near).collect()
    }

    /// Whether no memory of the other size takes the tile.
    fn is_open(&self, site: usize) -> bool {
        let Site { kind, half, .. } = self.sites[site];
        let is_empty = |site: usize| self.occupants[site].is_none();
        // A tile's sites follow each other: one of 36 Kbit, two of 18.
        match kind {
            BlockKind::Memory36 => is_empty(site + 1) && is_empty(site + 2),
            BlockKind::Memory18 => is_empty(site - 1 - usize::from(half)),
            BlockKind::Multiplier => true,
        }
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

    /// What nextpnr calls the place of a cell.
    pub(super) fn name(&self, design: &Design, cell: usize) -> String {
        match self.of_cell[cell] {
            Place::Quarter(quarter, part) => {
                let ((x, y), half) = self.slices[quarter / QUARTERS];
                let letter = ["A", "B", "C", "D"][quarter % QUARTERS];
                format!("X{x}Y{y}/SLICE_X{half}Y0.{letter}{}", PARTS[part])
            }
            Place::Slice(slice) => {
                let ((x, y), half) = self.slices[slice];
                format!("X{x}Y{y}/SLICE_X{half}Y0.CARRY4")
            }
            Place::Block(site) => {
                let Site { at: (x, y), kind, half } = self.sites[site];
                let (site, bel) = kind.site();
                format!("X{x}Y{y}/{site}_X0Y{half}.{bel}")
            }
            Place::Kept => design.cells[cell].bel.clone(),
        }
    }
}
