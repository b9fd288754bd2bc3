//! The reference page of the device, made from the tables.

use std::fmt::Write as _;

use super::admin::command_layout::COMMAND_FIELDS;
use super::codes::{AdminOpcode, AdminStatus, QueueError};
use super::fields::WORDS;
use super::registers::{BLOCKS, Copies, REGISTERS};
use super::{pci, registers};

/// The page `docs/reference/device.md`.
pub fn page(header: &str) -> String {
    let mut page = String::from(header);
    let _ = write!(
        page,
        "# The card as a PCIe device\n\n\
         | what | value |\n| --- | --- |\n\
         | vendor:device | {:04x}:{:04x} |\n| class | {:#08x} |\n| revision | {} |\n\
         | MSI-X vectors | queue pairs + 1: vector 0 for the admin queue and errors |\n\
         | MSI-X table, pending bits | BAR {} at {:#x} and {:#x} |\n\n\
         | BAR | bytes | content |\n| --- | --- | --- |\n",
        pci::VENDOR_ID,
        pci::DEVICE_ID,
        pci::CLASS_CODE,
        pci::REVISION_ID,
        pci::MSIX_BAR.number,
        pci::MSIX_TABLE_OFFSET,
        pci::MSIX_PBA_OFFSET,
    );
    for bar in pci::BARS {
        let _ = writeln!(page, "| {} | {} | {} |", bar.number, bar.bytes, bar.doc);
    }
    let _ = write!(
        page,
        "\nRegisters are little-endian and may be accessed with any size and byte enables; a \
         write takes effect when its line of {} bytes, or the transaction, is complete. What is \
         not listed reads as zero and ignores writes. Indices count records since the pair was \
         enabled, modulo 65536; the place in a ring is the index modulo its size.\n",
        registers::LINE_BYTES
    );
    for block in BLOCKS {
        let copies = match block.copies {
            Copies::One => String::new(),
            Copies::Pairs => format!(" + {:#x} * queue pair", block.stride),
            Copies::Vectors => format!(" + {:#x} * vector", block.stride),
        };
        let (name, bar, base, doc) = (block.name, block.bar, block.base, block.doc.trim());
        let _ = write!(page, "\n## {name}: BAR {bar}, {base:#x}{copies}\n\n{doc}\n");
        let mut rows = REGISTERS.iter().filter(|register| register.block == *block).peekable();
        if rows.peek().is_some() {
            page.push_str(
                "\n| offset | bytes | register | access | meaning |\n\
                 | --- | --- | --- | --- | --- |\n",
            );
        }
        for row in rows {
            let access = row.access.text();
            let (offset, bytes, name, doc) = (row.offset, row.bytes, row.name, row.doc);
            let _ = writeln!(page, "| {offset:#04x} | {bytes} | {name} | {access} |{doc} |");
        }
    }
    page.push_str("\n## Fields\n");
    for word in WORDS {
        let title = word.title.trim();
        let _ = write!(page, "\n{title}\n\n| bits | field | meaning |\n| --- | --- | --- |\n");
        for field in word.fields {
            let high = field.low + field.bits - 1;
            let _ = writeln!(page, "| {high}..{} | {} |{} |", field.low, field.name, field.doc);
        }
    }
    page.push_str(
        "\n## Rings\n\nAn event ring holds the 64-byte events of [the wire page](wire.md), a \
         completion ring its 32-byte decisions. The phase bit of a decision is 1 in the first \
         pass over the ring and changes with each pass.\n\n\
         ## Errors of a queue pair\n\n| number | error | meaning |\n| --- | --- | --- |\n",
    );
    for &error in QueueError::ALL {
        let _ = writeln!(page, "| {} | `{error}` |{} |", error as u8, error.doc());
    }
    page.push_str(
        "\n## Admin command, 64 bytes\n\n| bytes | field | meaning |\n| --- | --- | --- |\n",
    );
    for field in COMMAND_FIELDS {
        let (first, last) = (field.offset, field.offset + field.bytes - 1);
        let _ = writeln!(page, "| {first}..{last} | {} |{} |", field.name, field.doc);
    }
    page.push_str("\n| opcode | command | what it does |\n| --- | --- | --- |\n");
    for &opcode in AdminOpcode::ALL {
        let _ = writeln!(page, "| {} | `{opcode}` |{} |", opcode as u16, opcode.doc());
    }
    page.push_str(
        "\nThe completion is a decision record: tag, status, phase bit, and `RESULT0` to \
         `RESULT2` in place of the outputs.\n\n| status | name | meaning |\n| --- | --- | --- |\n",
    );
    for &status in AdminStatus::ALL {
        let _ = writeln!(page, "| {} | `{status}` |{} |", status as u8, status.doc());
    }
    page
}
