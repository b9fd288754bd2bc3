//! The reference pages that are made from the tables: `rmt docs` writes them, and
//! `rmt docs --check` (a part of `./x test`) fails when one is stale.

use std::fmt::Write as _;

use crate::event::{Status, WireField, decision_layout, event_layout};
use crate::helper::Helper;
use crate::instruction::{Class, INSTRUCTIONS, InstructionInfo};
use crate::limits;
use crate::operand::SLOTS;

/// A generated page: its path under the project's root, and its content.
pub struct Page {
    /// Path, with `/`.
    pub path: &'static str,
    /// Content: Markdown, or C.
    pub content: String,
}

/// All generated pages.
pub fn pages() -> Vec<Page> {
    vec![
        Page { path: "docs/reference/instructions.md", content: instructions() },
        Page { path: "docs/reference/wire.md", content: wire() },
        Page { path: "docs/reference/card.md", content: crate::card::page(GENERATED) },
        Page { path: "docs/reference/device.md", content: crate::device::page(GENERATED) },
        Page { path: "driver/kernel/rmt_device.h", content: crate::device::c_header() },
        Page { path: "docs/reference/shim.md", content: crate::shim::page(GENERATED) },
        Page { path: "driver/kernel/rmt_shim.h", content: crate::shim::c_header() },
    ]
}

const GENERATED: &str = "<!-- Made by `rmt docs` from the tables of rmt-isa. Do not edit. -->\n\n";

/// Classes in the order of the page, with a heading.
const CLASSES: &[(Class, &str)] = &[
    (Class::Control, "Control"),
    (Class::Alu, "Integer arithmetic, one cycle"),
    (Class::Multiply, "Integer product"),
    (Class::Divide, "Integer division"),
    (Class::Branch, "Branches"),
    (Class::Event, "Event and action data"),
    (Class::Context, "Context"),
    (Class::Map, "Maps"),
    (Class::Vector, "Vectors"),
    (Class::Model, "Models"),
];

/// Escapes what would end a table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn instructions() -> String {
    let mut page = String::from(GENERATED);
    let _ = write!(
        page,
        "# Instructions\n\n\
         {} instructions of 64 bits. {} scalar registers `r0` to `r{}` of 64 bits; {} vector \
         registers `v0` to `v{}` of up to {} lanes. Jumps go forward only. Every equation is \
         total: once a program is verified, no instruction can fault.\n\n\
         In the equations `sat` saturates to the element type of the result; scalar arithmetic \
         wraps at 64 bits. `record` is the context record that the last `RMT_MATCH_CTXT` or \
         `RMT_FIND_CTXT` of its store opened.\n\n## Instruction word\n\n\
         Bits that an instruction does not use are zero.\n\n| slot | bits |\n| --- | --- |\n",
        INSTRUCTIONS.len(),
        limits::SCALAR_REGISTERS,
        limits::SCALAR_REGISTERS - 1,
        limits::VECTOR_REGISTERS,
        limits::VECTOR_REGISTERS - 1,
        limits::VECTOR_LANES,
    );
    for slot in SLOTS {
        let _ = writeln!(page, "| {} | {}..{} |", slot.name, slot.low + slot.bits - 1, slot.low);
    }
    for &(class, heading) in CLASSES {
        let _ = write!(
            page,
            "\n## {heading}\n\n| opcode | assembly | meaning | Rust equivalent |\n\
             | --- | --- | --- | --- |\n"
        );
        for info in INSTRUCTIONS.iter().filter(|info| info.class == class) {
            let _ = writeln!(
                page,
                "| {:#04x} | `{}` | {} | `{}` |",
                info.opcode,
                assembly(info),
                cell(info.equation),
                cell(info.rust)
            );
        }
    }
    page.push_str("\n## Helpers of `CALL`\n\n| number | name | result |\n| --- | --- | --- |\n");
    for &helper in Helper::ALL {
        let _ = writeln!(page, "| {} | `{helper}` | {} |", helper as u8, cell(helper.equation()));
    }
    page.push_str("\n## Operands\n\n| kind | written as |\n| --- | --- |\n");
    let mut seen = Vec::new();
    for operand in INSTRUCTIONS.iter().flat_map(|info| info.operands) {
        if !seen.contains(&operand.kind) {
            seen.push(operand.kind);
            let _ = writeln!(page, "| {:?} | {} |", operand.kind, operand.kind.description());
        }
    }
    page
}

/// The instruction as one writes it, with the slot of each operand.
fn assembly(info: &InstructionInfo) -> String {
    let operands: Vec<_> = (info.operands.iter())
        .map(|operand| format!("{}:{}", operand.name, operand.slot.name))
        .collect();
    format!("{} {}", info.mnemonic, operands.join(", "))
}

fn wire() -> String {
    let mut page = String::from(GENERATED);
    page.push_str(
        "# Events and decisions on the wire\n\n\
         Little-endian. An event is 64 bytes, a decision 32 bytes: each fits one PCIe write.\n",
    );
    for (name, fields) in
        [("Event", event_layout::EVENT_FIELDS), ("Decision", decision_layout::DECISION_FIELDS)]
    {
        let _ = write!(page, "\n## {name}\n\n| bytes | field | meaning |\n| --- | --- | --- |\n");
        for WireField { name, offset, bytes, doc } in fields {
            let _ = writeln!(page, "| {offset}..{} | {name} |{doc} |", offset + bytes - 1);
        }
    }
    page.push_str("\n## Status\n\n| number | status | meaning |\n| --- | --- | --- |\n");
    for &status in Status::ALL {
        let _ = writeln!(page, "| {} | `{}` |{} |", status as u8, status.text(), status.doc());
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_heading() {
        for info in INSTRUCTIONS {
            assert!(CLASSES.iter().any(|(class, _)| *class == info.class), "{}", info.mnemonic);
        }
    }

    #[test]
    fn every_row_has_as_many_cells_as_its_heading() {
        for page in pages() {
            let mut cells = None;
            for line in page.content.lines() {
                let found = line.replace("\\|", "").matches('|').count();
                match (found, cells) {
                    (0, _) => cells = None,
                    (found, None) => cells = Some(found),
                    (found, Some(cells)) => assert_eq!(found, cells, "{}: {line}", page.path),
                }
            }
        }
    }
}
