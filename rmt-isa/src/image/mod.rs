//! The image: a program as an ELF file, so that `readelf` and `objdump -h` read it.
//!
//! | section | content |
//! | --- | --- |
//! | `.rmt.version` | [`MAGIC`], version, CRC-32C of all sections below |
//! | `.rmt.program` | the [`Program`] without the bulk below, by serde in postcard's format |
//! | `.text` | the instructions of all actions, 8 bytes each; a symbol for each action |
//! | `.rmt.lines` | the source line of each instruction, 4 bytes each |
//! | `.rmt.tensors` | the elements of all tensors, 1, 2 or 4 bytes each |
//! | `.rmt.trees` | the nodes of all forests, 8 bytes each |
//!
//! Everything is little-endian. [`read`] is total: any bytes give a program or an error.
//! A program that was read is well-formed, not verified: that is the verifier's business.

mod read;
mod write;

pub use read::{ImageError, read};
pub use write::{WriteError, write};

use serde::{Deserialize, Serialize};

use crate::program::Program;

/// First bytes of `.rmt.version`.
pub const MAGIC: [u8; 4] = *b"RMT\0";
/// Version of the format; a reader refuses every other one.
pub const VERSION: u32 = 1;
/// The ELF machine number of an image: "no machine", since none is registered.
pub const ELF_MACHINE: object::elf::Machine = object::elf::EM_NONE;

/// Name and alignment in bytes of each section with content under the checksum, in its order.
const SECTIONS: [(&str, u64); 5] =
    [(".rmt.program", 1), (".text", 8), (".rmt.lines", 4), (".rmt.tensors", 4), (".rmt.trees", 8)];
const VERSION_SECTION: &str = ".rmt.version";

/// What `.rmt.program` holds: the program and how its bulk divides the other sections.
#[derive(Serialize, Deserialize)]
struct Stored<P> {
    /// Instructions of each action.
    instructions: Vec<u32>,
    /// Nodes of each forest.
    nodes: Vec<u32>,
    program: P,
}

fn checksum<'a>(sections: impl Iterator<Item = &'a [u8]>) -> u32 {
    !sections.fold(u32::MAX, crate::arithmetic::crc32c)
}

/// The bulk sections of a program, in the order of [`SECTIONS`] after the first.
struct Bulk {
    text: Vec<u8>,
    lines: Vec<u8>,
    tensors: Vec<u8>,
    trees: Vec<u8>,
}

impl Bulk {
    fn of(program: &Program) -> Self {
        let mut bulk =
            Self { text: Vec::new(), lines: Vec::new(), tensors: Vec::new(), trees: Vec::new() };
        for action in &program.actions {
            for (index, instruction) in action.code.iter().enumerate() {
                bulk.text.extend(instruction.encode().to_le_bytes());
                let line = action.lines.get(index).copied().unwrap_or(0);
                bulk.lines.extend(line.to_le_bytes());
            }
        }
        for tensor in &program.tensors {
            for value in &tensor.values {
                bulk.tensors.extend(&value.to_le_bytes()[..tensor.element.bytes()]);
            }
        }
        for node in program.forests.iter().flat_map(|forest| &forest.nodes) {
            bulk.trees.extend(node.to_word().to_le_bytes());
        }
        bulk
    }
}

#[cfg(test)]
mod tests;
