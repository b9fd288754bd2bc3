//! Reading an image: total, and nothing is believed before it is checked.

use object::read::elf::ElfFile64;
use object::{Endianness, Object as _, ObjectSection as _};

use super::{ELF_MACHINE, MAGIC, SECTIONS, Stored, VERSION, VERSION_SECTION, checksum};
use crate::instruction::{DecodeError, Instruction};
use crate::operand::Element;
use crate::program::{Program, Table, TreeNode};

/// Why bytes are not an image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file is not a 64-bit little-endian ELF file, or is cut short.
    #[error(
        "not a readable ELF file ({0}); the file is truncated or no RMT image: build it again with `rmt build`"
    )]
    Elf(#[from] object::read::Error),
    /// The file is an ELF file of something else.
    #[error("an ELF file for machine {machine}, not an RMT image; give a file made by `rmt build`")]
    OtherMachine {
        /// Machine number found.
        machine: u16,
    },
    /// A section is missing.
    #[error(
        "section `{section}` is missing: this is no RMT image, or it was stripped; build it again with `rmt build`"
    )]
    MissingSection {
        /// Name of the section.
        section: &'static str,
    },
    /// The version section is malformed.
    #[error("section `{VERSION_SECTION}` holds no RMT version: this is no RMT image")]
    NoVersion,
    /// The image is of another version.
    #[error(
        "image version {found}, this program reads version {VERSION}; build the image again with `rmt build`"
    )]
    OtherVersion {
        /// Version found.
        found: u32,
    },
    /// The content does not match its checksum.
    #[error(
        "checksum {found:#010x} does not match the content, which gives {expected:#010x}: the file is damaged; build or copy it again"
    )]
    Checksum {
        /// Checksum of the content.
        expected: u32,
        /// Checksum in the file.
        found: u32,
    },
    /// The program's description does not decode.
    #[error("section `.rmt.program` does not decode: {0}")]
    Description(#[from] postcard::Error),
    /// A bulk section is shorter or longer than the description says.
    #[error("section `{section}` {problem} at `{object}`")]
    Bulk {
        /// Name of the section.
        section: &'static str,
        /// What is wrong.
        problem: &'static str,
        /// The object that was being read.
        object: String,
    },
    /// A word of `.text` is not an instruction.
    #[error("{place}: {error}; build the image again with `rmt build`")]
    Instruction {
        /// Action, the first table that runs it, instruction, and line of the source if known.
        place: String,
        /// What is wrong with the word.
        error: DecodeError,
    },
    /// A word of `.rmt.trees` is not a node.
    #[error(
        "forest `{forest}`, node {index}: {word:#018x} is not a tree node, bits 47..41 must be zero and a leaf has no child and no feature"
    )]
    Node {
        /// Name of the forest.
        forest: String,
        /// Number of the node.
        index: usize,
        /// The word.
        word: u64,
    },
}

/// Takes a bulk section apart from front to back.
struct Cursor<'a> {
    section: &'static str,
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: u64, bytes: u64, object: &str) -> Result<&'a [u8], ImageError> {
        let length = count.checked_mul(bytes).and_then(|length| usize::try_from(length).ok());
        let (taken, rest) = length
            .and_then(|length| self.rest.split_at_checked(length))
            .ok_or_else(|| self.error("is too short", object))?;
        self.rest = rest;
        Ok(taken)
    }

    fn finish(self) -> Result<(), ImageError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.error("has bytes left", "its end")) }
    }

    fn error(&self, problem: &'static str, object: &str) -> ImageError {
        ImageError::Bulk { section: self.section, problem, object: object.into() }
    }
}

/// The program of an image.
///
/// # Errors
/// [`ImageError`]; never panics, and allocates no more than a few times the length of `bytes`.
pub fn read(bytes: &[u8]) -> Result<Program, ImageError> {
    let elf = ElfFile64::<Endianness>::parse(bytes)?;
    let machine = elf.elf_header().e_machine.get(elf.endian());
    if machine != ELF_MACHINE || elf.endian() != Endianness::Little {
        return Err(ImageError::OtherMachine { machine: machine.0 });
    }
    let section = |name: &'static str| -> Result<&[u8], ImageError> {
        let section = elf.section_by_name(name);
        Ok(section.ok_or(ImageError::MissingSection { section: name })?.data()?)
    };
    let found = check_version(section(VERSION_SECTION)?)?;
    let mut contents = [&[][..]; SECTIONS.len()];
    for (content, (name, _)) in contents.iter_mut().zip(SECTIONS) {
        *content = section(name)?;
    }
    let expected = checksum(contents.into_iter());
    if expected != found {
        return Err(ImageError::Checksum { expected, found });
    }
    let [description, text, lines, tensors, trees] = contents;
    let mut stored: Stored<Program> = postcard::from_bytes(description)?;
    read_actions(&mut stored, text, lines)?;
    read_tensors(&mut stored.program, tensors)?;
    read_forests(&mut stored, trees)?;
    Ok(stored.program)
}

/// The checksum that the version section names.
fn check_version(section: &[u8]) -> Result<u32, ImageError> {
    let words = section.strip_prefix(&MAGIC).and_then(|rest| <&[u8; 8]>::try_from(rest).ok());
    let &[v0, v1, v2, v3, c0, c1, c2, c3] = words.ok_or(ImageError::NoVersion)?;
    match u32::from_le_bytes([v0, v1, v2, v3]) {
        VERSION => Ok(u32::from_le_bytes([c0, c1, c2, c3])),
        found => Err(ImageError::OtherVersion { found }),
    }
}

fn read_actions(stored: &mut Stored<Program>, text: &[u8], lines: &[u8]) -> Result<(), ImageError> {
    let mut text = Cursor { section: ".text", rest: text };
    let mut lines = Cursor { section: ".rmt.lines", rest: lines };
    if stored.instructions.len() != stored.program.actions.len() {
        return Err(text.error("does not list every action", "its symbols"));
    }
    let Program { actions, tables, source, .. } = &mut stored.program;
    for (number, (action, &count)) in actions.iter_mut().zip(&stored.instructions).enumerate() {
        if action.name.contains('\0') {
            let name = action.name.escape_debug().to_string();
            return Err(text.error("has an action with a zero byte in its name", &name));
        }
        let words = text.take(count.into(), 8, &action.name)?;
        let lines = lines.take(count.into(), 4, &action.name)?;
        action.lines = lines.chunks_exact(4).map(|line| little_endian(line) as u32).collect();
        for (index, word) in words.chunks_exact(8).enumerate() {
            let instruction = Instruction::decode(little_endian(word)).map_err(|error| {
                let runs = |table: &&Table| table.actions.iter().any(|&a| usize::from(a) == number);
                let mut place = format!("action `{}`", action.name);
                if let Some(table) = tables.iter().find(runs) {
                    place += &format!(" of table `{}`", table.name);
                }
                place += &format!(", instruction {index}");
                if let Some(line) = action.lines.get(index).filter(|&&line| line != 0) {
                    place += &format!(" ({source}:{line})");
                }
                ImageError::Instruction { place, error }
            })?;
            action.code.push(instruction);
        }
    }
    text.finish()?;
    lines.finish()
}

fn read_tensors(program: &mut Program, bytes: &[u8]) -> Result<(), ImageError> {
    let mut cursor = Cursor { section: ".rmt.tensors", rest: bytes };
    for tensor in &mut program.tensors {
        let count = tensor
            .shape
            .iter()
            .try_fold(1_u64, |product, &length| product.checked_mul(length.into()));
        let count = count.ok_or_else(|| cursor.error("is too short", &tensor.name))?;
        let width = tensor.element.bytes();
        let values = cursor.take(count, width as u64, &tensor.name)?;
        let decode = |value: &[u8]| match tensor.element {
            Element::I8 => little_endian(value) as u8 as i8 as i32,
            Element::I16 => little_endian(value) as u16 as i16 as i32,
            Element::I32 => little_endian(value) as u32 as i32,
        };
        tensor.values = values.chunks_exact(width).map(decode).collect();
    }
    cursor.finish()
}

fn read_forests(stored: &mut Stored<Program>, bytes: &[u8]) -> Result<(), ImageError> {
    let mut cursor = Cursor { section: ".rmt.trees", rest: bytes };
    if stored.nodes.len() != stored.program.forests.len() {
        return Err(cursor.error("does not list every forest", "its end"));
    }
    for (forest, &count) in stored.program.forests.iter_mut().zip(&stored.nodes) {
        let words = cursor.take(count.into(), 8, &forest.name)?;
        for (index, word) in words.chunks_exact(8).map(little_endian).enumerate() {
            let node = TreeNode::from_word(word);
            let error = || ImageError::Node { forest: forest.name.clone(), index, word };
            forest.nodes.push(node.ok_or_else(error)?);
        }
    }
    cursor.finish()
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}
