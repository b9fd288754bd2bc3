//! The list of rules: one code for each thing that the verifier refuses.
//!
//! Codes are stable: tools and people may search for them. `docs/verifier.md` shows each
//! with an example; a test keeps that page complete.

use std::fmt;

macro_rules! rules {
    ($($name:ident = $code:literal, $title:literal, $explanation:literal;)*) => {
        /// A rule that a program must keep.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = concat!("`", $code, "`: ", $title, ".")] $name,)*
        }

        impl Rule {
            /// All rules, in the order of the book.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable code, such as `V-REG-01`.
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// What is wrong, in a few words and without names.
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)*
                }
            }

            /// Why the rule is there, in one or two sentences.
            pub const fn explanation(self) -> &'static str {
                match self {
                    $(Self::$name => $explanation,)*
                }
            }

            /// The rule with this code.
            pub fn from_code(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|rule| rule.code().eq_ignore_ascii_case(code))
            }
        }
    };
}

rules! {
    // The program as a whole.
    NoTable = "V-STR-01", "the program has no table",
        "An event begins at table 0, so a program has at least one. A table without a key runs its default action for every event.";
    TooMany = "V-STR-02", "more objects than the machine has",
        "Every list has a limit of the machine (`rmt_isa::limits`), so that engines and cards can size their memories.";
    BadName = "V-STR-03", "not a usable name",
        "Objects are found by name: by the control plane, by model files, in messages. Names have 1 to 512 bytes without spaces and control characters.";
    DuplicateName = "V-STR-04", "a name is used twice",
        "Two objects of one kind with the same name cannot be told apart.";
    UnknownIndex = "V-STR-05", "an object names another one that does not exist",
        "Objects refer to each other by number. A number that leads nowhere would be followed at run time.";
    BadCapacity = "V-STR-06", "not a possible capacity",
        "Context stores and hash maps are sets of four ways, so their capacity is a power of two from 4; all others hold at least one value. No object holds more than 16 777 216.";

    // The event.
    FieldOutsideEvent = "V-EVT-01", "a field lies outside the event's key and arguments",
        "Fields describe the key (bytes 8 to 15) and the arguments (bytes 16 to 63) of the event. Hook, flags and tag have a fixed meaning.";
    FieldMisaligned = "V-EVT-02", "a field is not aligned to its width",
        "The card loads aligned values only; so a field stands at a multiple of its width.";
    FieldsOverlap = "V-EVT-03", "two fields of the event share bytes",
        "Two fields on the same bytes would overwrite each other when an event is filled, and a private field could be read through a public one.";

    // Tables and their entries.
    KeyTooWide = "V-TBL-01", "the key of a table is too wide",
        "A key has at most 4 fields and 128 bits: that is how wide the match hardware is.";
    KeySource = "V-TBL-02", "a key field has no place in the event",
        "A key field from the event is an aligned value inside its 64 bytes.";
    KeyArgument = "V-TBL-03", "a key field names an argument that nobody hands over",
        "A key field from an argument takes r1 to r4 of the tail call that leads to the table. No tail call leads to table 0.";
    KeylessTable = "V-TBL-04", "a table without a key needs a default action and no entries",
        "Without a key nothing can be matched: the default action always runs, so there must be one, and entries have no meaning.";
    EntryKind = "V-TBL-05", "an entry is of another match kind than its table",
        "Exact, longest-prefix, ternary and range tables compare differently; an entry carries what its table compares.";
    EntryRange = "V-TBL-06", "an entry can never match",
        "Bits outside the key, the prefix or the mask, and empty or reversed ranges, make an entry that no key matches: always a mistake.";
    EntryAction = "V-TBL-07", "an entry names an action that its table does not allow",
        "A table lists the actions that its entries may run. The list is what the verifier follows; an action beside it would be unverified.";
    EntryParameters = "V-TBL-08", "the parameters do not fit the action",
        "An entry carries one value for each parameter of its action, in the range of the parameter's type.";
    EntryPriority = "V-TBL-09", "a priority in a table that has none",
        "Exact and longest-prefix tables have at most one best match; a priority there would be ignored.";
    FirstTableArguments = "V-TBL-10", "the first table runs an action that wants arguments",
        "Arguments come from tail calls, and an event begins at table 0 without one.";
    TooManyEntries = "V-TBL-11", "more entries than the table holds",
        "A table starts with no more entries than it can hold.";
    DuplicateEntry = "V-TBL-12", "two entries match the same",
        "Of two entries with the same matcher and priority the second never wins, and the control plane could not tell them apart.";

    // Context stores.
    RingDepth = "V-STO-01", "not a possible depth of a history ring",
        "A history ring keeps 1 to 256 values.";

    // Models.
    TensorShape = "V-MOD-01", "the shape of a tensor does not fit its values",
        "A tensor has 1 to 4 dimensions, and as many values as their product.";
    TensorRange = "V-MOD-02", "a value does not fit the tensor's element type",
        "Each value fits the element type, else engines would cut it differently.";
    BadScale = "V-MOD-03", "not a possible requantisation scale",
        "`requantise` is defined for multipliers from 0 and shifts from 1 to 62; there the product and the rounding fit 64 bits.";
    BadWindow = "V-MOD-04", "not a possible window geometry",
        "A window has no side of 0, at most 256 places, an input and output that fit a vector register, and overlaps its input wherever it stands.";
    ForestNode = "V-MOD-05", "a tree node points outside its forest or backwards",
        "Both children of a node stand side by side behind it, and every feature exists. So each walk through a tree ends, inside the forest.";
    ForestDepth = "V-MOD-06", "a tree is too deep",
        "A tree makes at most 32 comparisons: a bound on time that the card is built for.";
    ForestSharing = "V-MOD-07", "a tree node is reached twice",
        "A node that two parents share makes a graph, not a tree; depth and memory could no longer be reckoned.";
    VoteLeaf = "V-MOD-08", "a leaf of a voting forest is not a class",
        "A voting forest counts its leaves in 256 counters.";

    // Control flow.
    EmptyAction = "V-CFG-01", "an action has no instructions",
        "An action ends the event or hands it on; with no instructions it does neither.";
    ActionTooLong = "V-CFG-02", "too many instructions",
        "An action has at most 4 096 instructions, and all actions together at most `Limits::program_instructions`.";
    JumpOutside = "V-CFG-03", "a jump leaves its action",
        "A jump lands on an instruction of its own action. (A backward jump cannot be written down at all: the distance has no sign.)";
    FallsOffEnd = "V-CFG-04", "an action runs past its last instruction",
        "Every path ends in `exit` or `TAIL_CALL`.";
    TailCallCycle = "V-CFG-05", "tail calls can come back to the same table",
        "Tables call only tables further on. So every event ends.";
    TooManyVisits = "V-CFG-06", "an event can visit too many tables",
        "One event visits at most 8 tables.";

    // Operands and registers.
    UnknownOperand = "V-OPR-01", "an operand names something that does not exist",
        "An operand that is a number of an object, field, output or parameter names one that is declared.";
    UninitialisedScalar = "V-REG-01", "a register is read before it is written",
        "At the start of an action no register is written, but r1 and up when the action takes arguments. A register that some path does not write holds nothing.";
    UninitialisedVector = "V-REG-02", "a vector register is read before it is written",
        "The same for vector registers, which have neither values nor a type before they are written.";
    VectorTypesDiffer = "V-REG-03", "a vector register has different types on different paths",
        "Element type and length of a vector are known before the program runs. Where paths meet they agree, or the vector is not used behind.";
    TailCallArgument = "V-REG-04", "a tail call does not hand over what the next table needs",
        "Only r1 to r4 go along with a tail call. What the key and every action of the next table take is written on all paths.";

    // Context records and maps.
    RecordNotOpen = "V-CTX-01", "a context record is used before it is opened",
        "Context instructions work on the record that `RMT_MATCH_CTXT` or `RMT_FIND_CTXT` opened, on every path.";
    ReadOnlyField = "V-CTX-02", "a read-only context field is written",
        "A field that is not declared writable is set by the control plane only.";
    FieldKind = "V-CTX-03", "a history ring is used as a value, or a value as a ring",
        "Single values and history rings have instructions of their own.";
    OutsideRing = "V-CTX-04", "an access reaches past the end of a history ring",
        "A constant position or length past the ring's depth would always read 0, or could not be stored.";
    MapOperation = "V-MAP-01", "the map's kind has no such operation",
        "Arrays and histograms have all their values from the start, ring buffers only take what is appended; operations without a meaning are refused.";

    // Shapes of vectors and models.
    OutsideEvent = "V-SHP-01", "a load reaches outside the event or is not aligned",
        "Loads from the event are aligned and stay in its 64 bytes.";
    LanesDiffer = "V-SHP-02", "two vectors differ in length",
        "Lane-wise operations take two vectors of one length.";
    ElementType = "V-SHP-03", "a vector has the wrong element type",
        "Sums and comparisons take two vectors of one element type; multipliers take i8 and i16; only i32 accumulators are requantised.";
    LaneOutside = "V-SHP-04", "a vector has no such lane",
        "A lane that is read or set exists.";
    TensorFit = "V-SHP-05", "a tensor does not fit the vector",
        "Weights of a product are outputs × inputs, those of a convolution outputs × height × width × channels, a bias has one value for each output, and rows are loaded from rows × columns.";
    TensorElement = "V-SHP-06", "a tensor has the wrong element type",
        "Weights are i8 and biases i32: what the multiplier array takes.";
    TooManyLanes = "V-SHP-07", "the result has more lanes than a vector register",
        "A vector register has 256 lanes.";
    WindowFit = "V-SHP-08", "a window does not fit the vector",
        "The input of a window has height × width × channels lanes, the channel running fastest.";
    ScaleFit = "V-SHP-09", "the scales do not fit the vector",
        "There is one scale for all lanes, or one for each channel; then the lanes are a multiple of the channels.";
    ForestFit = "V-SHP-10", "a forest wants another number of features",
        "A forest takes as many features as it was trained with.";

    // Value ranges.
    ProductOverflow = "V-RNG-01", "an i32 accumulator can overflow",
        "Engines add products in different orders. So every partial sum of bias and products, in any order, must fit 32 bits for all inputs that can come.";
    PoolOverflow = "V-RNG-02", "the sum over a window can overflow",
        "The same for the sum over a pooling window; it can only happen to i32 inputs.";

    // Information flow.
    PrivateOutput = "V-FLW-01", "private data reaches a public output",
        "A public output is read by anyone. Neither its value nor whether it is written may depend on private data.";
    PrivateField = "V-FLW-02", "private data reaches a public context field",
        "A public field of a record is read on behalf of other keys.";
    PrivateForeignWrite = "V-FLW-03", "private data reaches another key's context record",
        "Data that is private to the event's key does not go into the record of another key, whatever the field's label; nor does it choose which other key's record is created.";
    ForeignPrivateRead = "V-FLW-04", "another key's private field is read",
        "A private field belongs to the key of its record. Only an event of that key may read it; the verifier must see that the record was opened with exactly the event's key.";
    PrivateMap = "V-FLW-05", "private data reaches a public map",
        "A public map is shared by all keys. Its values, its keys, and whether it is written may not depend on private data. Loading is a use only in an LRU map, where it decides what is evicted.";
    ForeignMapSlot = "V-FLW-06", "a private map is used at another key than the event's",
        "In a private map the value of a key belongs to that key. Private ring buffers take data of all keys for the control plane, and actions do not read them back.";
    PrivateStatus = "V-FLW-07", "private data decides the status that others see",
        "Decided, abstained and missed are seen by whoever sees the outputs. Private data does not decide between them, unless all outputs are private.";
    PrivateExistence = "V-FLW-08", "private data decides whether a record exists that others look up",
        "An event may open its own record as its private data says only while no instruction of the program looks for records of other keys in that store.";

    // Cost.
    InstructionBudget = "V-CST-01", "too many instructions for one event",
        "The worst path over all tables stays within `Budget::instructions`.";
    MacBudget = "V-CST-02", "too many multiply-accumulates for one event",
        "The worst path stays within `Budget::macs`. A compressor can be asked to shrink the model, see below.";
    ByteBudget = "V-CST-03", "too many bytes of state for one event",
        "The worst path reads and writes at most `Budget::state_bytes` of contexts and maps.";
    CycleBudget = "V-CST-04", "too many card cycles for one event",
        "The worst path takes at most `Budget::card_cycles` by the estimate for the card in the limits.";
    MemoryBudget = "V-CST-05", "the program needs too much memory",
        "All objects together fit `Limits::memory_bytes`.";
    NotOnCard = "V-CST-06", "the card cannot run the program",
        "With `Limits::require_card` every action that an event can reach must run on the card.";

    // The verifier's own bound.
    NotShown = "V-MAX-01", "more violations than are shown",
        "At most `Limits::violations` are shown, so that a hostile program cannot flood its reader.";
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl serde::Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_found_by_code() {
        assert_eq!(Rule::from_code("v-reg-01"), Some(Rule::UninitialisedScalar));
        assert_eq!(Rule::from_code("V-REG-99"), None);
    }

    #[test]
    fn codes_are_unique_and_well_formed() {
        let mut codes: Vec<_> = Rule::ALL.iter().map(|rule| rule.code()).collect();
        codes.sort_unstable();
        assert!(codes.is_sorted_by(|a, b| a < b), "a code is used twice");
        for code in codes {
            let parts: Vec<_> = code.split('-').collect();
            assert!(
                matches!(parts[..], ["V", area, number]
                if area.len() == 3 && number.len() == 2 && number.parse::<u8>().is_ok()),
                "{code}"
            );
        }
    }
}
