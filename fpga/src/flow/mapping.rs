//! How ABC maps logic to tables.

/// What a wire takes by ABC's reckoning, ps. By yosys' own figure, 300, an adder of 64 bits counts as much as three tables in a row.
const WIRE_PS: u32 = 1000;
/// yosys' own script, and the logic taken from that mapping and mapped anew, twice. The first mapping may have tables of six
/// inputs where the part has none, as it finds the shorter ways.
const SCRIPT: &str = "&scorr;&sweep;&dc2;&dch,-f,-r;&if,{W},-K,6;&mfs;\
                      &st;&syn3;&dch,-f,-r;&if,{W};&mfs;\
                      &st;&syn3;&dch,-f,-r;&if,{W};&mfs";

/// The step of a synthesis that maps to tables of so many inputs.
pub(super) fn to_tables(inputs: u32) -> String {
    format!("abc9 -maxlut {inputs} -W {WIRE_PS} -script +{SCRIPT}")
}
