//! Project X-Ray's database: which bits of a tile a feature sets, and where the tile's bits are.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::Deserialize;

use super::frames::{Frames, Outside};
use super::lone;
use super::timing::Library;
use crate::error::FpgaError;

/// What a message calls it.
const WHAT: &str = "the database of Project X-Ray";
const WORD_BITS: u32 = 32;
/// Kinds of frames, as the database names them, with the end of the name of their file of features.
const BLOCKS: [(&str, &str); 2] = [("CLB_IO_CLK", ".db"), ("BLOCK_RAM", ".block_ram.db")];

/// Where a tile's bits of a kind are.
#[derive(Deserialize)]
struct Bits {
    baseaddr: String,
    offset: u32,
    alias: Option<Alias>,
}

/// A tile whose features are those of a larger type of tile.
#[derive(Deserialize)]
struct Alias {
    #[serde(rename = "type")]
    kind: String,
    /// Words of the larger tile before its own.
    start_offset: u32,
    sites: HashMap<String, String>,
}

#[derive(Deserialize)]
struct Tile {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    bits: HashMap<String, Bits>,
    #[serde(default)]
    sites: HashMap<String, String>,
    /// Column and row, which are nextpnr's, too.
    grid_x: u32,
    grid_y: u32,
}

/// A bit that a feature sets or clears: kind of frame, frame from the tile's first on, bit from its first word on.
#[derive(Clone, Copy, Debug)]
struct SegmentBit {
    block: usize,
    frame: u32,
    bit: u32,
    value: bool,
}

/// Features of a type of tile: their bits, by name and index.
type Features = HashMap<(String, u32), Vec<SegmentBit>>;

/// Why a feature has no bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The database does not have it, or no such tile.
    Unknown,
    /// One of its bits has another value already.
    Conflict,
}

/// The database of a part, read as far as it is needed.
pub struct Database {
    /// Folder of the family.
    family: PathBuf,
    part: String,
    tiles: HashMap<String, Tile>,
    features: HashMap<String, Rc<Features>>,
}

fn read(path: &Path) -> Result<String, FpgaError> {
    std::fs::read_to_string(path).map_err(FpgaError::file("read", path))
}

fn bad(path: &Path, problem: impl std::fmt::Display) -> FpgaError {
    FpgaError::BadOutput { what: WHAT, problem: format!("{}: {problem}", path.display()) }
}

impl Database {
    /// The database of a part below the folder of all families.
    ///
    /// # Errors
    /// When it has no such part, or its list of tiles is missing.
    pub fn find(folder: &Path, part: &str) -> Result<Self, FpgaError> {
        // Parts are named by fabric, package and speed grade; smaller ones may have the fabric of a larger one.
        let families = std::fs::read_dir(folder).map_err(FpgaError::file("read", folder))?;
        let mut families: Vec<PathBuf> = families.flatten().map(|entry| entry.path()).collect();
        families.sort();
        let family =
            families.into_iter().find(|family| family.join(part).join("part.yaml").is_file());
        let family = family.ok_or_else(|| bad(folder, format!("no part {part}")))?;
        let known =
            Self { family, part: part.to_owned(), tiles: HashMap::new(), features: HashMap::new() };
        let grid = known.grid()?;
        if grid.is_file() { Ok(known) } else { Err(bad(&grid, "it is missing")) }
    }

    /// What xc7frames2bit wants to know of the part.
    pub fn part_file(&self) -> PathBuf {
        self.family.join(&self.part).join("part.yaml")
    }

    /// Delays of multipliers.
    ///
    /// # Errors
    /// When they are missing or damaged.
    pub fn multiplier_delays(&self) -> Result<Library, FpgaError> {
        Library::read(&read(&self.family.join("timings/DSP_L.sdf"))?)
    }

    /// Tables, as nextpnr names their places, that stay free: too few wires pass them.
    ///
    /// # Errors
    /// When the list of tiles is damaged.
    pub fn lone_tables(&mut self) -> Result<Vec<String>, FpgaError> {
        self.load_tiles()?;
        let tiles = self.tiles.values().map(|tile| (tile.kind.as_str(), tile.grid_x, tile.grid_y));
        Ok(lone::tables(tiles))
    }

    /// Kind, column and row of each tile.
    ///
    /// # Errors
    /// When the list of tiles is damaged.
    pub fn tiles(&mut self) -> Result<Vec<(String, u32, u32)>, FpgaError> {
        self.load_tiles()?;
        Ok(self.tiles.values().map(|tile| (tile.kind.clone(), tile.grid_x, tile.grid_y)).collect())
    }

    /// The list of tiles of the part's fabric.
    fn grid(&self) -> Result<PathBuf, FpgaError> {
        let path = self.family.join("mapping/parts.yaml");
        let device = value_of(&read(&path)?, &self.part, "device");
        let device = device.ok_or_else(|| bad(&path, format!("no device of {}", self.part)))?;
        let path = self.family.join("mapping/devices.yaml");
        let fabric = value_of(&read(&path)?, &device, "fabric");
        let fabric = fabric.ok_or_else(|| bad(&path, format!("no fabric of {device}")))?;
        Ok(self.family.join(fabric).join("tilegrid.json"))
    }

    fn load_tiles(&mut self) -> Result<(), FpgaError> {
        if self.tiles.is_empty() {
            let path = self.grid()?;
            let tiles = serde_json::from_str(&read(&path)?).map_err(|error| bad(&path, error))?;
            self.tiles = tiles;
        }
        Ok(())
    }

    /// The features of a type of tile. A type has a file for each kind of frame, one for what costs no bits, or none.
    fn features(&mut self, kind: &str) -> Result<Rc<Features>, FpgaError> {
        if let Some(features) = self.features.get(kind) {
            return Ok(Rc::clone(features));
        }
        let name = kind.to_lowercase();
        let mut features = Features::new();
        for (block, (_, end)) in BLOCKS.iter().enumerate() {
            let path = self.family.join(format!("segbits_{name}{end}"));
            if path.is_file() {
                segment_bits(&read(&path)?, kind, block, &mut features)
                    .map_err(|line| bad(&path, format!("`{line}` is no feature")))?;
            }
        }
        // Ways through a tile that are always there.
        let path = self.family.join(format!("ppips_{name}.db"));
        if path.is_file() {
            for line in read(&path)?.lines() {
                let feature = line.split_whitespace().next().and_then(|name| own(name, kind));
                if let Some(feature) = feature {
                    features.entry((feature.to_owned(), 0)).or_default();
                }
            }
        }
        let features = Rc::new(features);
        self.features.insert(kind.to_owned(), Rc::clone(&features));
        Ok(features)
    }

    /// Sets a feature of a tile.
    pub(super) fn set(
        &mut self,
        tile: &str,
        feature: &str,
        index: u32,
        frames: &mut Frames,
    ) -> Result<Result<(), Refusal>, FpgaError> {
        self.load_tiles()?;
        let Some(found) = self.tiles.get(tile) else { return Ok(Err(Refusal::Unknown)) };
        let own_kind = found.kind.clone();
        // All kinds of frames of a tile have the same alias.
        let alias = found.bits.values().find_map(|bits| bits.alias.as_ref());
        let (kind, name) = match alias {
            Some(alias) => {
                let (site, rest) = feature.split_once('.').unwrap_or((feature, ""));
                let site = alias.sites.get(site).map_or(site, String::as_str);
                let dot = if rest.is_empty() { "" } else { "." };
                (alias.kind.clone(), format!("{site}{dot}{rest}"))
            }
            None => (own_kind.clone(), feature.to_owned()),
        };
        // Ways that cost nothing stand under the tile's own type.
        if kind != own_kind {
            let free = self.features(&own_kind)?;
            if free.get(&(feature.to_owned(), 0)).is_some_and(Vec::is_empty) {
                return Ok(Ok(()));
            }
        }
        let features = self.features(&kind)?;
        let Some(bits) = features.get(&(name, index)) else { return Ok(Err(Refusal::Unknown)) };
        let Some(found) = self.tiles.get(tile) else { return Ok(Err(Refusal::Unknown)) };
        for bit in bits {
            let block = BLOCKS[bit.block].0;
            let place = found.bits.get(block).and_then(|place| {
                let base = place.baseaddr.trim_start_matches("0x");
                let base = u32::from_str_radix(base, 16).ok()?.checked_add(bit.frame)?;
                let skipped = place.alias.as_ref().map_or(0, |alias| alias.start_offset);
                let word = (bit.bit / WORD_BITS).checked_add(place.offset)?.checked_sub(skipped)?;
                Some((base, word.checked_mul(WORD_BITS)?.checked_add(bit.bit % WORD_BITS)?))
            });
            let outside = || {
                let problem = format!("a bit of {tile}.{feature} is outside of the frames");
                FpgaError::BadOutput { what: WHAT, problem }
            };
            let (address, place) = place.ok_or_else(outside)?;
            match frames.give(address, place, bit.value) {
                Ok(()) => {}
                Err(Outside::Frame) => return Err(outside()),
                Err(Outside::Agreement) => return Ok(Err(Refusal::Conflict)),
            }
        }
        Ok(Ok(()))
    }

    /// All pins, as tile and site, of the banks that have a pin in one of some tiles.
    pub(super) fn pins_of_banks(
        &mut self,
        tiles: &BTreeSet<String>,
    ) -> Result<BTreeSet<(String, String)>, FpgaError> {
        self.load_tiles()?;
        let path = self.family.join(&self.part).join("package_pins.csv");
        let text = read(&path)?;
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
        let column = |name: &str| {
            let place = header.iter().position(|column| *column == name);
            place.ok_or_else(|| bad(&path, format!("no column {name}")))
        };
        let (bank, tile) = (column("bank")?, column("tile")?);
        let pins: Vec<(&str, &str)> = lines
            .filter_map(|line| {
                let cells: Vec<&str> = line.split(',').collect();
                Some((*cells.get(bank)?, *cells.get(tile)?))
            })
            .collect();
        let banks: BTreeSet<&str> =
            pins.iter().filter(|(_, tile)| tiles.contains(*tile)).map(|(bank, _)| *bank).collect();
        let mut found = BTreeSet::new();
        for (_, tile) in pins.iter().filter(|(bank, _)| banks.contains(bank)) {
            let sites = self.tiles.get(*tile).map(|tile| &tile.sites).into_iter().flatten();
            for (site, _) in sites {
                // Sites count through the FPGA, features within the tile.
                let odd = site.bytes().last().is_some_and(|digit| digit % 2 == 1);
                found.insert(((*tile).to_owned(), format!("IOB_Y{}", u32::from(odd))));
            }
        }
        Ok(found)
    }
}

/// A feature's name without the type of tile before it.
fn own<'a>(name: &'a str, kind: &str) -> Option<&'a str> {
    name.strip_prefix(kind)?.strip_prefix('.')
}

/// Reads a file of features; the line that is none.
fn segment_bits<'a>(
    text: &'a str,
    kind: &str,
    block: usize,
    features: &mut Features,
) -> Result<(), &'a str> {
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let name = words.next().and_then(|name| own(name, kind)).ok_or(line)?;
        let mut bits = Vec::new();
        for word in words {
            let (value, place) = match word.strip_prefix('!') {
                Some(place) => (false, place),
                None => (true, word),
            };
            let (frame, bit) = place.split_once('_').ok_or(line)?;
            let number = |text: &str| text.parse().map_err(|_| line);
            bits.push(SegmentBit { block, frame: number(frame)?, bit: number(bit)?, value });
        }
        let (name, index) = match name.strip_suffix(']').and_then(|name| name.rsplit_once('[')) {
            Some((name, index)) => (name, index.parse().map_err(|_| line)?),
            None => (name, 0),
        };
        features.entry((name.to_owned(), index)).or_default().extend(bits);
    }
    Ok(())
}

/// The value of a key below a name, of the two levels that the database's YAML has.
fn value_of(text: &str, name: &str, key: &str) -> Option<String> {
    let mut lines = text.lines();
    let is_name = |line: &&str| {
        line.trim_end()
            .strip_suffix(':')
            .is_some_and(|found| found.trim_matches(['"', '\'']) == name)
    };
    lines.find(is_name)?;
    let below = lines.take_while(|line| line.starts_with(char::is_whitespace));
    below
        .filter_map(|line| line.trim().split_once(':'))
        .find(|(found, _)| *found == key)
        .map(|(_, value)| value.trim().trim_matches(['"', '\'']).to_owned())
}
