//! The list of rules: one code for each thing that the verifier refuses.
//!
//! Codes are stable: tools and people may search for them. `docs/verifier.md` shows each
//! with an example; a test keeps that page complete.

use std::fmt;

macro_rules! rules {
    ($($name:ident = $code:literal, $title:literal;)*) => {
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
        }
    };
}

rules! {
    // The program as a whole.
    NoTable = "V-STR-01", "the program has no table";
    TooMany = "V-STR-02", "more objects than the machine has";
    BadName = "V-STR-03", "not a usable name";
    DuplicateName = "V-STR-04", "a name is used twice";
    UnknownIndex = "V-STR-05", "an object names another one that does not exist";
    BadCapacity = "V-STR-06", "not a possible capacity";

    // The event.
    FieldOutsideEvent = "V-EVT-01", "a field lies outside the event's key and arguments";
    FieldMisaligned = "V-EVT-02", "a field is not aligned to its width";
    FieldsOverlap = "V-EVT-03", "two fields of the event share bytes";

    // Tables and their entries.
    KeyTooWide = "V-TBL-01", "the key of a table is too wide";
    KeySource = "V-TBL-02", "a key field has no place in the event";
    KeyArgument = "V-TBL-03", "a key field names an argument that nobody hands over";
    KeylessTable = "V-TBL-04", "a table without a key needs a default action and no entries";
    EntryKind = "V-TBL-05", "an entry is of another match kind than its table";
    EntryRange = "V-TBL-06", "an entry can never match";
    EntryAction = "V-TBL-07", "an entry names an action that its table does not allow";
    EntryParameters = "V-TBL-08", "the parameters do not fit the action";
    EntryPriority = "V-TBL-09", "a priority in a table that has none";
    FirstTableArguments = "V-TBL-10", "the first table runs an action that wants arguments";
    TooManyEntries = "V-TBL-11", "more entries than the table holds";
    DuplicateEntry = "V-TBL-12", "two entries match the same";

    // Context stores.
    RingDepth = "V-STO-01", "not a possible depth of a history ring";

    // Models.
    TensorShape = "V-MOD-01", "the shape of a tensor does not fit its values";
    TensorRange = "V-MOD-02", "a value does not fit the tensor's element type";
    BadScale = "V-MOD-03", "not a possible requantisation scale";
    BadWindow = "V-MOD-04", "not a possible window geometry";
    ForestNode = "V-MOD-05", "a tree node points outside its forest or backwards";
    ForestDepth = "V-MOD-06", "a tree is too deep";
    ForestSharing = "V-MOD-07", "a tree node is reached twice";
    VoteLeaf = "V-MOD-08", "a leaf of a voting forest is not a class";

    // Control flow.
    EmptyAction = "V-CFG-01", "an action has no instructions";
    ActionTooLong = "V-CFG-02", "too many instructions";
    JumpOutside = "V-CFG-03", "a jump leaves its action";
    FallsOffEnd = "V-CFG-04", "an action runs past its last instruction";
    TailCallCycle = "V-CFG-05", "tail calls can come back to the same table";
    TooManyVisits = "V-CFG-06", "an event can visit too many tables";

    // Operands and registers.
    UnknownOperand = "V-OPR-01", "an operand names something that does not exist";
    UninitialisedScalar = "V-REG-01", "a register is read before it is written";
    UninitialisedVector = "V-REG-02", "a vector register is read before it is written";
    VectorTypesDiffer = "V-REG-03", "a vector register has different types on different paths";
    TailCallArgument = "V-REG-04", "a tail call does not hand over what the next table needs";

    // Context records and maps.
    RecordNotOpen = "V-CTX-01", "a context record is used before it is opened";
    ReadOnlyField = "V-CTX-02", "a read-only context field is written";
    FieldKind = "V-CTX-03", "a history ring is used as a value, or a value as a ring";
    OutsideRing = "V-CTX-04", "an access reaches past the end of a history ring";
    MapOperation = "V-MAP-01", "the map's kind has no such operation";

    // Shapes of vectors and models.
    OutsideEvent = "V-SHP-01", "a load reaches outside the event or is not aligned";
    LanesDiffer = "V-SHP-02", "two vectors differ in length";
    ElementType = "V-SHP-03", "a vector has the wrong element type";
    LaneOutside = "V-SHP-04", "a vector has no such lane";
    TensorFit = "V-SHP-05", "a tensor does not fit the vector";
    TensorElement = "V-SHP-06", "a tensor has the wrong element type";
    TooManyLanes = "V-SHP-07", "the result has more lanes than a vector register";
    WindowFit = "V-SHP-08", "a window does not fit the vector";
    ScaleFit = "V-SHP-09", "the scales do not fit the vector";
    ForestFit = "V-SHP-10", "a forest wants another number of features";

    // Value ranges.
    ProductOverflow = "V-RNG-01", "an i32 accumulator can overflow";
    PoolOverflow = "V-RNG-02", "the sum over a window can overflow";

    // Information flow.
    PrivateOutput = "V-FLW-01", "private data reaches a public output";
    PrivateField = "V-FLW-02", "private data reaches a public context field";
    PrivateForeignWrite = "V-FLW-03", "private data reaches another key's context record";
    ForeignPrivateRead = "V-FLW-04", "another key's private field is read";
    PrivateMap = "V-FLW-05", "private data reaches a public map";
    ForeignMapSlot = "V-FLW-06", "a private map is used at another key than the event's";
    PrivateStatus = "V-FLW-07", "private data decides the status that others see";

    // Cost.
    InstructionBudget = "V-CST-01", "too many instructions for one event";
    MacBudget = "V-CST-02", "too many multiply-accumulates for one event";
    ByteBudget = "V-CST-03", "too many bytes of state for one event";
    CycleBudget = "V-CST-04", "too many card cycles for one event";
    MemoryBudget = "V-CST-05", "the program needs too much memory";
    NotOnCard = "V-CST-06", "the card cannot run the program";

    // The verifier's own bound.
    NotShown = "V-MAX-01", "more violations than are shown";
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
