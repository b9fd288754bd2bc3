//! Comparing one decision of the core with the interpreter's.

use rmt_isa::Decision;
use rmt_vm::state::dump::Difference;

/// The first difference, or none. The cycles are no part of the program's meaning: the core's
/// own count is held against `spent_cycles`, what the outside saw.
pub fn decisions(expected: &Decision, found: &Decision, spent_cycles: u64) -> Option<Difference> {
    let cycles = spent_cycles.min(u16::MAX.into());
    let mut fields = vec![
        ("status".to_owned(), expected.status.text().to_owned(), found.status.text().to_owned()),
        ("written".to_owned(), format!("{:#b}", expected.written), format!("{:#b}", found.written)),
    ];
    for (index, (left, right)) in expected.outputs.iter().zip(found.outputs).enumerate() {
        fields.push((format!("output[{index}]"), format!("{left:#x}"), format!("{right:#x}")));
    }
    fields.push(("cycles".to_owned(), cycles.to_string(), found.cycles.to_string()));
    let (place, left, right) = fields.into_iter().find(|(_, left, right)| left != right)?;
    Some(Difference { place, left, right })
}
