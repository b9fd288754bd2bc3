//! The C header of the device, for the kernel shim.

use std::fmt::Write as _;

use super::admin::command_layout::COMMAND_FIELDS;
use super::codes::{AdminOpcode, AdminStatus, QueueError};
use super::fields::WORDS;
use super::registers::{BLOCKS, REGISTERS};
use super::{pci, registers, ring};
use crate::event::{DECISION_BYTES, EVENT_BYTES, Status, WireField, decision_layout, event_layout};

/// The file `driver/kernel/rmt_device.h`.
pub fn c_header() -> String {
    let mut text = String::from(
        "/* SPDX-License-Identifier: MIT OR Apache-2.0 */\n\
         /* Made by `rmt docs` from the tables of rmt-isa. Do not edit. */\n\
         #ifndef RMT_DEVICE_H\n#define RMT_DEVICE_H\n\n#include <linux/types.h>\n",
    );
    let mut group = |title: &str, rows: Vec<(String, String)>| {
        let _ = write!(text, "\n/* {title} */\n");
        for (name, value) in rows {
            let _ = writeln!(text, "#define RMT_{name} {value}");
        }
    };
    let hex = |value: u64| format!("{value:#x}");
    let mut identity = vec![
        ("VENDOR_ID".to_owned(), hex(pci::VENDOR_ID.into())),
        ("DEVICE_ID".to_owned(), hex(pci::DEVICE_ID.into())),
        ("CLASS_CODE".to_owned(), hex(pci::CLASS_CODE.into())),
        ("DEVICE_VERSION".to_owned(), super::VERSION.to_string()),
        ("REGISTER_BAR".to_owned(), pci::REGISTER_BAR.number.to_string()),
        ("MSIX_BAR".to_owned(), pci::MSIX_BAR.number.to_string()),
        ("PAIR_PAGE_BYTES".to_owned(), registers::PAIR_PAGE_BYTES.to_string()),
        ("INLINE_LINES".to_owned(), registers::INLINE_LINES.to_string()),
        ("PHASE_BIT".to_owned(), ring::PHASE_BIT.to_string()),
    ];
    identity.push(("RING_ALIGNMENT".to_owned(), super::RING_ALIGNMENT.to_string()));
    group("Identity", identity);
    let blocks = BLOCKS.iter().flat_map(|block| {
        let base = (format!("{}_BASE", block.name), hex(block.base.into()));
        let stride = (format!("{}_STRIDE", block.name), hex(block.stride.into()));
        if block.stride == 0 { vec![base] } else { vec![base, stride] }
    });
    group(
        "Blocks of registers: first byte in the BAR, bytes from a copy to the next",
        blocks.collect(),
    );
    let offsets = REGISTERS
        .iter()
        .map(|row| (format!("{}_{}", row.block.name, row.name), hex(row.offset.into())));
    group("Registers: first byte in their block", offsets.collect());
    for word in WORDS {
        let title = word.title.trim().trim_end_matches('.');
        let name = register_of(title);
        let fields = word.fields.iter().flat_map(|field| {
            let mask = if field.bits == 64 { u64::MAX } else { field.max() << field.low };
            [
                (format!("{name}_{}_SHIFT", field.name), field.low.to_string()),
                (format!("{name}_{}_MASK", field.name), format!("{mask:#x}ULL")),
            ]
        });
        group(title, fields.collect());
    }
    group("Status of a decision", codes("STATUS", Status::ALL, |s| (s as u64, s.text())));
    group("Errors of a queue pair", codes("ERROR", QueueError::ALL, |e| (e as u64, e.text())));
    group("Admin opcodes", codes("ADMIN", AdminOpcode::ALL, |o| (o as u64, o.text())));
    group(
        "Status of an admin command",
        codes("ADMIN_STATUS", AdminStatus::ALL, |s| (s as u64, s.text())),
    );
    for (name, fields, bytes) in [
        ("rmt_event", event_layout::EVENT_FIELDS, EVENT_BYTES),
        ("rmt_decision", decision_layout::DECISION_FIELDS, DECISION_BYTES),
        ("rmt_admin_command", COMMAND_FIELDS, EVENT_BYTES),
    ] {
        record(&mut text, name, fields, bytes);
    }
    text.push_str("\n#endif\n");
    text
}

/// `Register `STATUS` of a queue pair: ...` names what its fields belong to.
fn register_of(title: &str) -> String {
    let quoted = title.split('`').nth(1).unwrap_or("MSIX_CONTROL");
    let of_pair = title.contains("queue pair") && !quoted.starts_with("PAIR");
    if of_pair { format!("PAIR_{quoted}") } else { quoted.to_owned() }
}

fn codes<T: Copy>(
    prefix: &str,
    all: &[T],
    number: impl Fn(T) -> (u64, &'static str),
) -> Vec<(String, String)> {
    all.iter()
        .map(|&value| {
            let (number, text) = number(value);
            (format!("{prefix}_{}", text.to_uppercase().replace('-', "_")), number.to_string())
        })
        .collect()
}

fn record(text: &mut String, name: &str, fields: &[WireField], bytes: usize) {
    let _ = write!(text, "\nstruct {name} {{\n");
    for field in fields {
        let member = field.name.to_lowercase();
        let _ = match field.bytes {
            1 => writeln!(text, "\t__u8 {member};"),
            2 => writeln!(text, "\t__le16 {member};"),
            4 => writeln!(text, "\t__le32 {member};"),
            8 => writeln!(text, "\t__le64 {member};"),
            count => writeln!(text, "\t__u8 {member}[{count}];"),
        };
    }
    let _ = write!(
        text,
        "}};\n_Static_assert(sizeof(struct {name}) == {bytes}, \"{name} has {bytes} bytes\");\n"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_defined_twice() {
        let header = c_header();
        let mut names: Vec<&str> = header
            .lines()
            .filter_map(|line| line.strip_prefix("#define ")?.split_once(' '))
            .map(|(name, _)| name)
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
