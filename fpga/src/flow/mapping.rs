//! How comparisons become carries, and ABC maps logic to tables.

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

/// Bits from which on a comparison is made of two.
const HALVED_FROM: u32 = 48;

/// The steps that make each long comparison of two of half its length, and whether the upper halves are equal: a chain of
/// carries takes half the time, and a table behind it chooses.
pub(super) fn comparisons_in_halves() -> String {
    format!(
        "design -push\n\
         read_verilog <<END_OF_MAP\n\
         (* techmap_celltype = \"$lt $le $gt $ge\" *)\n\
         module compared_in_halves (A, B, Y);\n\
         parameter A_SIGNED = 0;\nparameter B_SIGNED = 0;\n\
         parameter A_WIDTH = 1;\nparameter B_WIDTH = 1;\nparameter Y_WIDTH = 1;\n\
         parameter _TECHMAP_CELLTYPE_ = \"\";\n\
         input [A_WIDTH-1:0] A;\ninput [B_WIDTH-1:0] B;\noutput [Y_WIDTH-1:0] Y;\n\
         localparam LOWER = A_WIDTH / 2;\n\
         localparam UPPER = A_WIDTH - LOWER;\n\
         localparam SWAPPED = _TECHMAP_CELLTYPE_ == \"$gt\" || _TECHMAP_CELLTYPE_ == \"$le\";\n\
         localparam OR_EQUAL = _TECHMAP_CELLTYPE_ == \"$le\" || _TECHMAP_CELLTYPE_ == \"$ge\";\n\
         wire _TECHMAP_FAIL_ = A_WIDTH < {HALVED_FROM} || A_WIDTH != B_WIDTH || A_SIGNED != B_SIGNED;\n\
         wire [A_WIDTH-1:0] x = SWAPPED ? B : A;\nwire [A_WIDTH-1:0] y = SWAPPED ? A : B;\n\
         wire [UPPER-1:0] sign = (A_SIGNED != 0) << (UPPER - 1);\n\
         wire [UPPER-1:0] x_upper = x[A_WIDTH-1:LOWER] ^ sign;\n\
         wire [UPPER-1:0] y_upper = y[A_WIDTH-1:LOWER] ^ sign;\n\
         wire less = x_upper < y_upper || x_upper == y_upper && x[LOWER-1:0] < y[LOWER-1:0];\n\
         assign Y = less ^ OR_EQUAL;\n\
         endmodule\n\
         END_OF_MAP\n\
         design -save in_halves\n\
         design -pop\n\
         techmap -map %in_halves\n"
    )
}
