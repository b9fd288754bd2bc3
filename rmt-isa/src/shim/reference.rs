//! The reference page of the shim, made from the tables.

use std::fmt::Write as _;

use super::control::{Counter, Demotion, Ioctl, Mode, settings_layout};
use super::hooks::HOOKS;
use super::layout::{block_layout, header_layout, outcome_layout};
use crate::event::WireField;

/// The page `docs/reference/shim.md`.
pub fn page(header: &str) -> String {
    let mut page = String::from(header);
    let _ = write!(
        page,
        "# The kernel shim: hooks, shared memory, calls\n\n\
         What the module `rmt_shim` and a daemon agree on; how it is used stands in \
         [kernel.md](../kernel.md).\n\n\
         | what | value |\n| --- | --- |\n\
         | device | `{}` |\n| version | {} |\n\
         | places of a ring | 2^{} to 2^{}, by default 2^{} |\n\
         | longest time that a hook waits for an answer | at most {} ns, by default {} ns |\n\n\
         ## Hooks\n\n\
         | number | hook | attached to | key | the kernel's answer | waits |\n\
         | --- | --- | --- | --- | --- | --- |\n",
        super::DEVICE_PATH,
        super::VERSION,
        super::MIN_RING_LOG2,
        super::MAX_RING_LOG2,
        super::DEFAULT_RING_LOG2,
        super::MAX_BUDGET_NS,
        super::DEFAULT_BUDGET_NS,
    );
    for hook in HOOKS {
        let waits = if hook.synchronous { "yes" } else { "no" };
        let _ = writeln!(
            page,
            "| {} | `{}` | `{}` | {} | {} | {waits} |",
            hook.number, hook.name, hook.function, hook.key, hook.answer
        );
    }
    for hook in HOOKS {
        let _ = write!(page, "\n### {}\n\n{}\n\n", hook.name, hook.doc.trim());
        page.push_str("| bytes | argument | type | meaning |\n| --- | --- | --- | --- |\n");
        for argument in hook.arguments {
            let WireField { name, offset, bytes, doc } = argument.field;
            let sign = if argument.signed { 'i' } else { 'u' };
            let (last, bits) = (offset + bytes - 1, 8 * bytes);
            let _ = writeln!(page, "| {offset}..{last} | `{name}` | {sign}{bits} |{doc} |");
        }
    }
    page.push_str(
        "\n## Shared memory\n\nThe header's page, then for each processor a block: a page of \
         indices, the event ring (64-byte events), the decision slots (32-byte decisions), the \
         outcome ring. Indices count records since the module was loaded, modulo 2^32; the place \
         in a ring is the index modulo its size. The event with index n has the tag n + 1 (2^31 \
         in place of 0), and its decision belongs into slot tag - 1 modulo the size: first 0 into \
         the slot's first word of 64 bits, then the outputs, then that word, each with release.\n",
    );
    for (title, fields) in [
        ("Header", header_layout::HEADER_FIELDS),
        ("First page of a block", block_layout::BLOCK_FIELDS),
        ("Outcome, 32 bytes", outcome_layout::OUTCOME_FIELDS),
        ("Settings of a hook, 32 bytes", settings_layout::SETTINGS_FIELDS),
    ] {
        let _ = write!(page, "\n### {title}\n\n| bytes | field | meaning |\n| --- | --- | --- |\n");
        for WireField { name, offset, bytes, doc } in fields {
            let _ = writeln!(page, "| {offset}..{} | {name} |{doc} |", offset + bytes - 1);
        }
    }
    page.push_str("\n## Modes\n\n| number | mode | meaning |\n| --- | --- | --- |\n");
    for &mode in Mode::ALL {
        let _ = writeln!(page, "| {} | `{mode}` |{} |", mode as u8, mode.doc());
    }
    page.push_str("\n| number | put off by the module | why |\n| --- | --- | --- |\n");
    for &why in Demotion::ALL {
        let _ = writeln!(page, "| {} | `{why}` |{} |", why as u8, why.doc());
    }
    page.push_str(
        "\n## Counters\n\n`calls` = `bypassed` + `unfit` + `ring-full` + `sent`; `sent` = `in-time` \
         + `late` + `unanswered` + what is outstanding, which is nothing once the hook is off.\n\n\
         | number | counter | meaning |\n| --- | --- | --- |\n",
    );
    for &counter in Counter::ALL {
        let _ = writeln!(page, "| {} | `{counter}` |{} |", counter as u16, counter.doc());
    }
    page.push_str(
        "\n## Calls of the device\n\n| `ioctl` | call | what it does |\n| --- | --- | --- |\n",
    );
    for &call in Ioctl::ALL {
        let _ = writeln!(page, "| {:#x} | `{}` |{} |", call.number(), call.name(), call.doc());
    }
    page
}
