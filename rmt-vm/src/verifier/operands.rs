//! Operands that are indices: what they name exists, and allows what the instruction does.
//!
//! These checks need no dataflow, so they look at every instruction, reached or not.

use rmt_isa::instruction::{Instruction, OperandUse};
use rmt_isa::operand::{FieldRef, MapId, Operand};
use rmt_isa::program::{ContextField, Map, MapKind};

use super::findings::{Findings, plural, quote};
use super::rules::Rule;

/// All instructions of an action.
pub(super) fn check_operands(findings: &mut Findings<'_>, action: usize) {
    let Some(body) = findings.program.actions.get(action) else { return };
    for (index, &instruction) in body.code.iter().enumerate() {
        if findings.full() {
            return;
        }
        let before = findings.count();
        for operand in instruction.operands() {
            check_operand_exists(findings, action, index, &operand);
        }
        if findings.count() == before {
            check_field_use(findings, action, index, instruction);
            check_map_use(findings, action, index, instruction);
        }
    }
}

/// An index operand is below the length of its list.
fn check_operand_exists(
    findings: &mut Findings<'_>,
    action: usize,
    index: usize,
    operand: &OperandUse,
) {
    let program = findings.program;
    let (list, length, number) = match operand.value {
        Operand::ContextId(id) => ("context store", program.contexts.len(), id.index()),
        Operand::FieldRef(field) => match program.contexts.get(field.context.index()) {
            None => ("context store", program.contexts.len(), field.context.index()),
            Some(context) => {
                ("field of this context store", context.fields.len(), field.field.into())
            }
        },
        Operand::MapId(id) => ("map", program.maps.len(), id.index()),
        Operand::TableId(id) => ("table", program.tables.len(), id.index()),
        Operand::TensorId(id) => ("tensor", program.tensors.len(), id.index()),
        Operand::Bias(bias) => match bias.0 {
            Some(id) => ("tensor", program.tensors.len(), id.index()),
            None => return,
        },
        Operand::ScaleId(id) => ("scale", program.scales.len(), id.index()),
        Operand::ForestId(id) => ("forest", program.forests.len(), id.index()),
        Operand::WindowId(id) => ("window", program.windows.len(), id.index()),
        Operand::OutputIndex(id) => ("output", program.outputs.len(), id.index()),
        Operand::ParameterIndex(id) => {
            ("parameter of this action", program.actions[action].parameters.len(), id.index())
        }
        Operand::Scalar(_)
        | Operand::Vector(_)
        | Operand::Immediate(_)
        | Operand::Jump(_)
        | Operand::EventOffset(_)
        | Operand::Lane(_)
        | Operand::Lanes(_)
        | Operand::Element(_)
        | Operand::IntType(_)
        | Operand::Verdict(_)
        | Operand::Helper(_) => return,
    };
    if number < length {
        return;
    }
    let place = findings.instruction(action, index);
    let reason = match length {
        0 => format!(
            "operand `{}` is {}, and no {list} is declared",
            operand.info.name, operand.value
        ),
        _ => format!(
            "operand `{}` is {}, the last {list} has number {}",
            operand.info.name,
            operand.value,
            length - 1
        ),
    };
    let remedy = "declare it, or name one that exists; numbers count from 0";
    findings.refuse(Rule::UnknownOperand, place, reason, remedy);
}

fn field(findings: &Findings<'_>, field: FieldRef) -> Option<ContextField> {
    let context = findings.program.contexts.get(field.context.index())?;
    context.fields.get(usize::from(field.field)).cloned()
}

/// Rings are used as rings, values as values; read-only fields are not written; a constant
/// position in a ring lies inside it.
fn check_field_use(
    findings: &mut Findings<'_>,
    action: usize,
    index: usize,
    instruction: Instruction,
) {
    use Instruction as I;
    let (reference, wants_ring, writes) = match instruction {
        I::LoadContext { field, .. } => (field, false, false),
        I::StoreContext { field, .. } => (field, false, true),
        I::PushContext { field, .. } | I::VectorStoreContext { field, .. } => (field, true, true),
        I::LoadHistory { field, .. }
        | I::LoadHistoryImm { field, .. }
        | I::HistoryLength { field, .. }
        | I::VectorLoadContext { field, .. } => (field, true, false),
        _ => return,
    };
    let Some(declared) = field(findings, reference) else { return };
    let place = findings.instruction(action, index);
    let name = quote(&declared.name);
    if declared.ring.is_some() != wants_ring {
        let (reason, remedy) = match declared.ring {
            Some(depth) => (
                format!("`{name}` is a history ring of {}", plural(depth.into(), "value")),
                "use `RMT_PUSH_CTXT`, `RMT_LD_HIST` or a vector instruction",
            ),
            None => (
                format!("`{name}` is a single {}", declared.kind),
                "use `RMT_LD_CTXT` or `RMT_ST_CTXT`, or declare the field as a ring",
            ),
        };
        findings.refuse(Rule::FieldKind, place, reason, remedy);
        return;
    }
    if writes && !declared.writable {
        let reason = format!("`{name}` is read-only for actions; the control plane sets it");
        let remedy = "declare the field writable, or keep the value in another field";
        findings.refuse(Rule::ReadOnlyField, place, reason, remedy);
        return;
    }
    let depth = declared.ring.unwrap_or(0);
    let positions = match instruction {
        I::LoadHistoryImm { imm, .. } => i64::from(imm)..i64::from(imm) + 1,
        I::VectorLoadContext { lanes, .. } => 0..lanes.count() as i64,
        _ => return,
    };
    if positions.start < 0 || positions.end > depth.into() {
        let last = positions.end - 1;
        let reason = format!(
            "it reads value {last} of `{name}`, which keeps values 0 to {}: the rest is always 0",
            i32::from(depth) - 1
        );
        let remedy = "read less, or declare a deeper ring";
        findings.refuse(Rule::OutsideRing, place, reason, remedy);
    }
}

/// Whether a kind of map has an operation, and what to use instead.
fn check_map_use(
    findings: &mut Findings<'_>,
    action: usize,
    index: usize,
    instruction: Instruction,
) {
    use Instruction as I;
    use MapKind::{Array, Hash, Histogram, LruHash, RingBuffer};
    let (map, kinds): (MapId, &[MapKind]) = match instruction {
        I::MapStore { map, .. } | I::MapAdd { map, .. } => {
            (map, &[Array, Hash, LruHash, Histogram])
        }
        I::MapDelete { map, .. } => (map, &[Hash, LruHash]),
        I::MapPush { map, .. } => (map, &[RingBuffer]),
        // `map_ld` and `map_has` are defined for all kinds.
        _ => return,
    };
    let Some(Map { name, kind, .. }) = findings.program.maps.get(map.index()) else { return };
    if kinds.contains(kind) {
        return;
    }
    let mnemonic = instruction.info().mnemonic;
    let reason = format!("`{}` is {}; `{mnemonic}` is for {}", quote(name), article(*kind), {
        let names: Vec<_> = kinds.iter().map(|&kind| kind_text(kind)).collect();
        names.join(", ")
    });
    let remedy = match kind {
        RingBuffer => "append with `map_push`",
        Histogram => "count a sample with `map_add`, clear a bucket with `map_st`",
        Array => "write 0 with `map_st`, or use a hash map",
        Hash | LruHash => "write with `map_st`, or use a ring buffer",
    };
    let place = findings.instruction(action, index);
    findings.refuse(Rule::MapOperation, place, reason, remedy);
}

fn kind_text(kind: MapKind) -> &'static str {
    match kind {
        MapKind::Array => "array",
        MapKind::Hash => "hash",
        MapKind::LruHash => "LRU hash",
        MapKind::RingBuffer => "ring buffer",
        MapKind::Histogram => "histogram",
    }
}

fn article(kind: MapKind) -> String {
    let article = if kind == MapKind::Array { "an" } else { "a" };
    match kind {
        MapKind::LruHash => "an LRU hash".into(),
        kind => format!("{article} {}", kind_text(kind)),
    }
}

#[cfg(test)]
mod tests {
    use crate::verifier::rules::Rule;
    use crate::verifier::testing::{Fixture, refused_by};

    #[test]
    fn operands_that_exist_are_accepted() {
        Fixture::new("ld_param r1, param0\nout out1, r1\nexit decided").accepted();
    }

    #[test]
    fn operands_that_do_not_exist_are_refused() {
        for (code, reason) in [
            ("ld_param r1, param3", "operand `index` is param3, the last parameter"),
            ("movi r1, 1\nout out2, r1", "operand `index` is out2, the last output has number 1"),
            ("movi r1, 1\nRMT_MATCH_CTXT r1, ctxt3, r1", "ctxt3, the last context store"),
            (
                "ld_event r1, event+8, u64\nRMT_MATCH_CTXT r1, ctxt0, r1\nRMT_LD_CTXT r1, ctxt0.31",
                "ctxt0.31, the last field of this context store",
            ),
            ("movi r1, 1\nmap_ld r1, map99, r1", "map99"),
            ("TAIL_CALL table7", "table7, the last table has number 1"),
            ("movi r1, 0\nRMT_VECTOR_LD v0, r1, tensor500", "tensor500"),
            ("RMT_VECTOR_FILL v0, x4, i32, 1\nRMT_REQUANT v0, v0, i8, scale9", "scale9"),
            ("RMT_VECTOR_FILL v0, x4, i32, 1\nRMT_TREE_EVAL r1, v0, forest4", "forest4"),
            ("RMT_VECTOR_FILL v0, x4, i32, 1\nRMT_POOL_MAX v0, v0, window9", "window9"),
        ] {
            let end = if code.contains("TAIL_CALL") { "" } else { "\nexit decided" };
            refused_by(&Fixture::new(&format!("{code}{end}")), Rule::UnknownOperand, reason);
        }
        let mut fixture = Fixture::new("movi r1, 1\nmap_ld r1, map0, r1\nexit decided");
        fixture.program.maps.clear();
        refused_by(&fixture, Rule::UnknownOperand, "no map is declared");
    }

    const OPEN: &str = "ld_event r1, event+8, u64\nRMT_MATCH_CTXT r2, ctxt0, r1\n";

    fn with_record(code: &str) -> Fixture {
        Fixture::new(&format!("{OPEN}movi r3, 1\n{code}\nexit decided"))
    }

    #[test]
    fn fields_used_as_declared_are_accepted() {
        for code in [
            "RMT_LD_CTXT r4, ctxt0.2",
            "RMT_ST_CTXT ctxt0.0, r3",
            "RMT_PUSH_CTXT ctxt0.3, r3",
            "RMT_LD_HISTI r4, ctxt0.3, 7",
            "RMT_VECTOR_LD_CTXT v0, x8, i16, ctxt0.3",
        ] {
            with_record(code).accepted();
        }
    }

    #[test]
    fn rings_and_values_are_not_mixed() {
        refused_by(&with_record("RMT_LD_CTXT r4, ctxt0.3"), Rule::FieldKind, "ring of 8 values");
        refused_by(&with_record("RMT_LD_HIST r4, ctxt0.0, r3"), Rule::FieldKind, "a single u32");
        refused_by(&with_record("RMT_PUSH_CTXT ctxt0.0, r3"), Rule::FieldKind, "a single u32");
        refused_by(&with_record("RMT_HIST_LEN r4, ctxt0.1"), Rule::FieldKind, "a single u64");
    }

    #[test]
    fn read_only_fields_are_not_written() {
        refused_by(
            &with_record("RMT_ST_CTXT ctxt0.2, r3"),
            Rule::ReadOnlyField,
            "`limit` is read-only",
        );
        let mut fixture = with_record("RMT_PUSH_CTXT ctxt0.3, r3");
        fixture.program.contexts[0].fields[3].writable = false;
        refused_by(&fixture, Rule::ReadOnlyField, "`deltas` is read-only");
    }

    #[test]
    fn positions_lie_inside_their_ring() {
        for position in ["8", "-1", "2147483647"] {
            let fixture = with_record(&format!("RMT_LD_HISTI r4, ctxt0.3, {position}"));
            refused_by(&fixture, Rule::OutsideRing, &format!("it reads value {position}"));
        }
        let fixture = with_record("RMT_VECTOR_LD_CTXT v0, x9, i16, ctxt0.3");
        refused_by(&fixture, Rule::OutsideRing, "it reads value 8 of `deltas`");
    }

    #[test]
    fn maps_have_the_operations_of_their_kind() {
        // Maps of the fixture: 0 array, 1 hash, 2 LRU hash, 3 ring buffer, 4 histogram.
        let operations = [
            ("map_ld r1, map{}, r2", [true; 5]),
            ("map_has r1, map{}, r2", [true; 5]),
            ("map_st r1, map{}, r2, r2", [true, true, true, false, true]),
            ("map_add r1, map{}, r2, r2", [true, true, true, false, true]),
            ("map_del r1, map{}, r2", [false, true, true, false, false]),
            ("map_push map{}, r2", [false, false, false, true, false]),
        ];
        for (operation, kinds) in operations {
            for (map, good) in kinds.into_iter().enumerate() {
                let line = operation.replace("{}", &map.to_string());
                let fixture = Fixture::new(&format!("movi r2, 1\n{line}\nexit decided"));
                match good {
                    true => _ = fixture.accepted(),
                    false => refused_by(&fixture, Rule::MapOperation, "is for"),
                }
            }
        }
    }
}
