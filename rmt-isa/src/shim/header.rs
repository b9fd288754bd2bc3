//! The C header of the shim, for the kernel module.

use std::fmt::Write as _;

use super::control::{Counter, Demotion, IOCTL_LETTER, Ioctl, Mode, settings_layout};
use super::hooks::{HOOKS, KernelHook};
use super::layout::{PAGE_BYTES, block_layout, header_layout, outcome_layout};
use crate::event::{EVENT_BYTES, WireField, event_layout};

/// The file `driver/kernel/rmt_shim.h`.
pub fn c_header() -> String {
    let mut text = String::from(
        "/* SPDX-License-Identifier: MIT OR Apache-2.0 */\n\
         /* Made by `rmt docs` from the tables of rmt-isa. Do not edit. */\n\
         #ifndef RMT_SHIM_H\n#define RMT_SHIM_H\n\n#include \"rmt_device.h\"\n",
    );
    let mut group = |title: &str, rows: Vec<(String, String)>| {
        let _ = write!(text, "\n/* {title} */\n");
        for (name, value) in rows {
            let _ = writeln!(text, "#define RMT_{name} {value}");
        }
    };
    let shim = |rows: &[(&str, String)]| {
        rows.iter().map(|(name, value)| (format!("SHIM_{name}"), value.clone())).collect()
    };
    group(
        "Contract",
        shim(&[
            ("MAGIC", format!("{:#x}ULL", super::MAGIC)),
            ("VERSION", super::VERSION.to_string()),
            ("PAGE_BYTES", PAGE_BYTES.to_string()),
            ("MIN_RING_LOG2", super::MIN_RING_LOG2.to_string()),
            ("MAX_RING_LOG2", super::MAX_RING_LOG2.to_string()),
            ("DEFAULT_RING_LOG2", super::DEFAULT_RING_LOG2.to_string()),
            ("MAX_BUDGET_NS", super::MAX_BUDGET_NS.to_string()),
            ("DEFAULT_BUDGET_NS", super::DEFAULT_BUDGET_NS.to_string()),
            ("NO_ANSWER", format!("{:#x}U", super::NO_ANSWER)),
            ("OUTCOME_IN_TIME", outcome_layout::IN_TIME.to_string()),
            ("OUTCOME_USED", outcome_layout::USED.to_string()),
            ("OUTCOME_FORBIDDEN", outcome_layout::FORBIDDEN.to_string()),
        ]),
    );
    let upper = |text: &str| text.to_uppercase().replace('-', "_");
    let mut hooks: Vec<_> = HOOKS
        .iter()
        .map(|hook| (format!("HOOK_{}", upper(hook.name)), hook.number.to_string()))
        .collect();
    hooks.push(("HOOK_COUNT".to_owned(), HOOKS.len().to_string()));
    group("Hooks", hooks);
    group(
        "Modes",
        (Mode::ALL.iter())
            .map(|&mode| (format!("MODE_{}", upper(mode.text())), (mode as u8).to_string()))
            .collect(),
    );
    group(
        "Why the module put a hook off by itself",
        (Demotion::ALL.iter())
            .map(|&why| (format!("DEMOTION_{}", upper(why.text())), (why as u8).to_string()))
            .collect(),
    );
    let mut counters: Vec<_> = Counter::ALL
        .iter()
        .map(|&row| (format!("COUNTER_{}", upper(row.text())), (row as u16).to_string()))
        .collect();
    counters.push(("COUNTER_COUNT".to_owned(), Counter::ALL.len().to_string()));
    group("Counters", counters);
    group(
        &format!("Calls of the device; the letter is '{}'", char::from(IOCTL_LETTER)),
        (Ioctl::ALL.iter())
            .map(|call| (format!("IOCTL_{}", snake(call.name())), format!("{:#x}U", call.number())))
            .collect(),
    );
    for (name, fields, bytes) in [
        ("rmt_shim_header", header_layout::HEADER_FIELDS, header_layout::HEADER_BYTES),
        ("rmt_shim_block", block_layout::BLOCK_FIELDS, block_layout::BLOCK_BYTES),
        ("rmt_shim_outcome", outcome_layout::OUTCOME_FIELDS, outcome_layout::OUTCOME_BYTES),
        ("rmt_shim_settings", settings_layout::SETTINGS_FIELDS, settings_layout::SETTINGS_BYTES),
    ] {
        let members = fields.iter().map(|&field| (field, false));
        record(&mut text, name, members, bytes);
    }
    text.push_str(
        "\nstruct rmt_shim_counters {\n\t__u16 hook;\n\t__u8 reserved[6];\n\
         \t__u64 counters[RMT_COUNTER_COUNT];\n};\n",
    );
    for hook in HOOKS {
        event(&mut text, hook);
    }
    text.push_str("\n#endif\n");
    text
}

/// `GetHook` as `GET_HOOK`.
fn snake(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}

/// The 64 bytes of a hook's events, with its arguments by name.
fn event(text: &mut String, hook: &KernelHook) {
    let head = event_layout::EVENT_FIELDS.iter().filter(|row| **row != event_layout::ARGUMENTS);
    let members: Vec<_> = (head.map(|&field| (field, false)))
        .chain(hook.arguments.iter().map(|argument| (argument.field, argument.signed)))
        .collect();
    let _ = write!(text, "\n/*{} */", hook.doc);
    record(text, &format!("rmt_event_{}", hook.name), members.into_iter(), EVENT_BYTES);
}

/// A structure in the machine's own byte order: both sides run on one machine.
fn record(
    text: &mut String,
    name: &str,
    fields: impl Iterator<Item = (WireField, bool)>,
    bytes: usize,
) {
    let _ = write!(text, "\nstruct {name} {{\n");
    let mut end = 0;
    let gap = |text: &mut String, end: usize, next: usize| {
        if next > end {
            let _ = writeln!(text, "\t__u8 gap_{end}[{}];", next - end);
        }
    };
    for (field, signed) in fields {
        gap(text, end, field.offset);
        let member = field.name.to_lowercase();
        let sign = if signed { 's' } else { 'u' };
        let _ = match field.bytes {
            size @ (1 | 2 | 4 | 8) => writeln!(text, "\t__{sign}{} {member};", 8 * size),
            count => writeln!(text, "\t__u8 {member}[{count}];"),
        };
        end = field.offset + field.bytes;
    }
    gap(text, end, bytes);
    let _ = write!(
        text,
        "}};\n_Static_assert(sizeof(struct {name}) == {bytes}, \"{name} has {bytes} bytes\");\n"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_defined_twice_in_both_headers() {
        let headers = c_header() + &crate::device::c_header();
        let mut names: Vec<&str> = headers
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
