//! A program: the tables, actions, contexts, maps and models that decide for one hook.
//!
//! These types are what the compiler produces, what an image file holds and what every
//! engine loads. They describe; the rules that make a program acceptable are the verifier's
//! (crate `rmt-vm`), the running state is the engine's.
//!
//! Objects refer to each other by index into the lists of [`Program`].

use serde::{Deserialize, Serialize};

use crate::instruction::Instruction;
use crate::operand::{Element, IntType};

/// A whole program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// Name, for people.
    pub name: String,
    /// The hook that it serves.
    pub hook: Hook,
    /// Names of the output words, for people.
    pub outputs: Vec<Output>,
    /// Decision points. An event begins at table 0.
    pub tables: Vec<Table>,
    /// What entries run.
    pub actions: Vec<Action>,
    /// Per-key records.
    pub contexts: Vec<Context>,
    /// Monitoring data that both sides can read.
    pub maps: Vec<Map>,
    /// Names of the models. A model is swapped as a whole: all objects that name it.
    pub models: Vec<String>,
    /// Weights, biases and other constants of the models.
    pub tensors: Vec<Tensor>,
    /// Requantisation scales of the models.
    pub scales: Vec<Scale>,
    /// Geometries of convolutions and pooling.
    pub windows: Vec<Window>,
    /// Decision trees and forests of the models.
    pub forests: Vec<Forest>,
    /// Source file of the program, for messages.
    pub source: String,
}

impl Program {
    /// The smallest program with this code: its only table runs its only action on every event.
    /// For measurements and tests; what the code names beside three outputs is to be added.
    pub fn of_action(name: &str, hook: u16, code: Vec<Instruction>) -> Self {
        let output = |n| Output { name: format!("o{n}"), kind: IntType::U64, label: Label::Public };
        Self {
            name: name.into(),
            hook: Hook { name: "hook".into(), number: hook, fields: vec![] },
            outputs: (0..3).map(output).collect(),
            tables: vec![Table {
                name: "always".into(),
                kind: MatchKind::Exact,
                key: vec![],
                capacity: 1,
                actions: vec![0],
                default: Some(ActionCall { action: 0, parameters: vec![] }),
                entries: vec![],
            }],
            actions: vec![Action {
                name: "act".into(),
                parameters: vec![],
                arguments: 0,
                lines: vec![0; code.len()],
                code,
            }],
            ..Self::default()
        }
    }
}

/// The hook that a program serves and the fields of its events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hook {
    /// Name of the hook, the kernel function as a rule.
    pub name: String,
    /// Number in the event.
    pub number: u16,
    /// Fields of the event beside hook, flags and tag.
    pub fields: Vec<EventField>,
}

/// Whether data belongs to one key alone.
///
/// Private data must not reach another key's context, a shared table or map, or an output
/// that another tenant reads.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Label {
    /// Anyone may see it.
    #[default]
    Public,
    /// It belongs to the key of the event.
    Private,
}

/// A named integer in the event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventField {
    /// Name; a CSV column of this name fills it.
    pub name: String,
    /// Width and sign.
    pub kind: IntType,
    /// First byte in the event, a multiple of the width.
    pub offset: u8,
    /// Whether it is private to the key.
    pub label: Label,
}

/// A named output word.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// Name.
    pub name: String,
    /// How the 64 bits are read.
    pub kind: IntType,
    /// `Private`: only the event's own key reads it.
    pub label: Label,
}

/// How the key of a table is compared with its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MatchKind {
    /// All bits equal.
    Exact,
    /// The first bits equal; the longest prefix wins.
    LongestPrefix,
    /// The bits under a mask equal; the highest priority wins.
    Ternary,
    /// Every field between two bounds, both included; the highest priority wins.
    Range,
}

/// Where one field of a table's key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeySource {
    /// Bytes of the event from `offset`.
    Event {
        /// First byte, a multiple of the width.
        offset: u8,
    },
    /// Scalar `r<register>` of the tail call that led here, 1 to 4, cut to the field's width.
    Argument {
        /// Number of the register.
        register: u8,
    },
}

/// One field of a table's key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyField {
    /// Name.
    pub name: String,
    /// Width and sign. Signed fields are compared as two's complement patterns in exact,
    /// prefix and ternary tables, and as numbers in range tables.
    pub kind: IntType,
    /// Where the value comes from.
    pub source: KeySource,
}

/// A decision point.
///
/// The key is the concatenation of its fields, the first field in the most significant bits,
/// at most 128 bits, right-aligned in a `u128`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Name.
    pub name: String,
    /// How it compares.
    pub kind: MatchKind,
    /// Fields of the key, 1 to 4; none: the default action runs always.
    pub key: Vec<KeyField>,
    /// Most entries that it holds.
    pub capacity: u32,
    /// Actions that entries may name, as indices into [`Program::actions`].
    pub actions: Vec<u16>,
    /// What runs when no entry matches; `None` ends the event as missed.
    pub default: Option<ActionCall>,
    /// Entries that it starts with.
    pub entries: Vec<Entry>,
}

impl Table {
    /// Width of the key in bits.
    pub fn key_bits(&self) -> u32 {
        self.key.iter().map(|field| field.kind.bits()).sum()
    }
}

/// An action and its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ActionCall {
    /// Index into [`Program::actions`].
    pub action: u16,
    /// One value for each parameter of the action.
    pub parameters: Vec<u64>,
}

/// What an entry compares with the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Matcher {
    /// The key equals `key`.
    Exact {
        /// The key.
        key: u128,
    },
    /// The first `length` bits of the key equal those of `key`.
    LongestPrefix {
        /// The key; bits behind the prefix are zero.
        key: u128,
        /// Bits of the prefix, 0 to the width of the key.
        length: u8,
    },
    /// `key AND mask` equals `value`.
    Ternary {
        /// The value; bits outside the mask are zero.
        value: u128,
        /// The mask.
        mask: u128,
    },
    /// For each field: `low ≤ field ≤ high`.
    Range {
        /// Lower bounds, one for each field, in the field's own 64-bit extension.
        low: Vec<u64>,
        /// Upper bounds.
        high: Vec<u64>,
    },
}

/// One entry of a table. Where several match: the longest prefix, or the highest priority;
/// among equals the entry that was added first.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// What it matches.
    pub matcher: Matcher,
    /// Priority in ternary and range tables, the higher the stronger; 0 elsewhere.
    pub priority: u32,
    /// What it runs.
    pub call: ActionCall,
}

/// A straight piece of verified bytecode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Name.
    pub name: String,
    /// Parameters: the action data that each entry carries.
    pub parameters: Vec<Parameter>,
    /// How many scalars, `r1` and up, a tail call must hand over (0 to 4).
    pub arguments: u8,
    /// The instructions; the image keeps them as 64-bit words.
    #[serde(skip)]
    pub code: Vec<Instruction>,
    /// Line of [`Program::source`] for each instruction, 0 where there is none.
    #[serde(skip)]
    pub lines: Vec<u32>,
}

/// A named parameter of an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Name.
    pub name: String,
    /// Width and sign; values of entries must fit.
    pub kind: IntType,
}

/// A store of per-key records, `RMT_CTXT`.
///
/// Records stand in sets of four: the set of a key is `hash_key(key)` modulo the number of
/// sets. A new key takes a free way of its set, else the place of the least recently matched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// Name.
    pub name: String,
    /// Records, a power of two, at least 4.
    pub capacity: u32,
    /// Fields of a record.
    pub fields: Vec<ContextField>,
}

/// A field of a context record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContextField {
    /// Name.
    pub name: String,
    /// Width and sign of the value, or of each value of the ring.
    pub kind: IntType,
    /// `None`: one value. `Some(depth)`: a history ring of that many values, newest first.
    pub ring: Option<u16>,
    /// Whether actions may write it; the control plane always may.
    pub writable: bool,
    /// Whether it is private to the key.
    pub label: Label,
}

/// What a map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MapKind {
    /// Values by index, 0 to capacity - 1, all there from the start.
    Array,
    /// Values by 64-bit key; a new key whose set of four is full is refused.
    Hash,
    /// Values by 64-bit key; a new key whose set is full takes the place of the least
    /// recently used (loaded, stored or added to).
    LruHash,
    /// The last `capacity` values pushed.
    RingBuffer,
    /// Counts by power of two, see [`crate::arithmetic::histogram_bucket`].
    Histogram,
}

/// Monitoring data that both sides can read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Map {
    /// Name.
    pub name: String,
    /// What it is.
    pub kind: MapKind,
    /// Values that it holds; hash maps: a power of two, at least 4.
    pub capacity: u32,
    /// Width and sign of a value.
    pub value: IntType,
    /// `Private`: it may hold private data, and only the key's owner reads it.
    pub label: Label,
}

/// An array of constants of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    /// Name.
    pub name: String,
    /// Index into [`Program::models`].
    pub model: u16,
    /// Type of the elements.
    pub element: Element,
    /// Lengths of the dimensions, 1 to 4 of them, the last one contiguous. Weights of a
    /// product: `[outputs, inputs]`; of a convolution: `[outputs, height, width, inputs]`.
    pub shape: Vec<u32>,
    /// The elements; each must be in the range of `element`.
    #[serde(skip)]
    pub values: Vec<i32>,
}

/// Scales of a requantisation, see [`crate::arithmetic::requantise`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// Name.
    pub name: String,
    /// Index into [`Program::models`].
    pub model: u16,
    /// One scale for all lanes, or one for each channel (lane i has channel i mod n).
    pub channels: Vec<ChannelScale>,
    /// Added after scaling.
    pub zero_point: i32,
}

/// Scale of one channel: `multiplier / 2^shift`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChannelScale {
    /// At least 0.
    pub multiplier: i32,
    /// 1 to 62.
    pub shift: u8,
}

/// Geometry of a convolution or pooling. Lanes are ordered height, width, channel, the
/// channel running fastest.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// Name.
    pub name: String,
    /// Rows of the input.
    pub in_height: u16,
    /// Columns of the input.
    pub in_width: u16,
    /// Channels of the input.
    pub channels: u16,
    /// Rows of the window.
    pub height: u16,
    /// Columns of the window.
    pub width: u16,
    /// Rows from one place of the window to the next.
    pub stride_y: u16,
    /// Columns from one place of the window to the next.
    pub stride_x: u16,
    /// Rows of padding above the input.
    pub pad_top: u16,
    /// Columns of padding left of the input.
    pub pad_left: u16,
    /// Rows of the output.
    pub out_height: u16,
    /// Columns of the output.
    pub out_width: u16,
}

/// How the leaves of a forest become one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ForestMode {
    /// The sum of the trees' leaves, in 64 bits.
    Sum,
    /// The leaf value (0 to 255) that most trees give, the smallest of equals.
    Vote,
}

/// A decision tree, or several.
///
/// Nodes of all trees stand in one list. The two children of a node stand side by side,
/// behind their parent: so evaluation always ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forest {
    /// Name.
    pub name: String,
    /// Index into [`Program::models`].
    pub model: u16,
    /// How leaves become a value.
    pub mode: ForestMode,
    /// Lanes that the features have.
    pub features: u16,
    /// First node of each tree.
    pub roots: Vec<u16>,
    /// The nodes.
    #[serde(skip)]
    pub nodes: Vec<TreeNode>,
}

/// A node of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TreeNode {
    /// Go to node `left` when `features[feature] ≤ threshold`, else to `left + 1`.
    Branch {
        /// Lane of the features.
        feature: u8,
        /// Largest value that goes left.
        threshold: i32,
        /// Node of the left child; the right one follows it.
        left: u16,
    },
    /// The tree's value.
    Leaf {
        /// The value.
        value: i32,
    },
}

impl TreeNode {
    /// The node as the card's 64-bit word: value or threshold in bits 31..0, feature in
    /// 39..32, bit 40 set for a leaf, left child in 63..48.
    pub const fn to_word(self) -> u64 {
        match self {
            Self::Branch { feature, threshold, left } => {
                (left as u64) << 48 | (feature as u64) << 32 | threshold as u32 as u64
            }
            Self::Leaf { value } => 1 << 40 | value as u32 as u64,
        }
    }

    /// The node of a word; `None` when bits without meaning are set.
    pub const fn from_word(word: u64) -> Option<Self> {
        let value = word as u32 as i32;
        match word >> 32 {
            0x100 => Some(Self::Leaf { value }),
            high if high & 0xff00 == 0 => Some(Self::Branch {
                feature: high as u8,
                threshold: value,
                left: (high >> 16) as u16,
            }),
            _ => None,
        }
    }
}

/// In which order events must run, from which engines learn what may overlap.
///
/// Computed by the verifier, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ordering {
    /// The decision depends on the event alone: events overlap freely.
    Pure,
    /// State is reached by the event's key only: events whose keys share a set of the
    /// smallest context store run in order of arrival, others overlap.
    PerKey,
    /// Shared state is written: events run one after the other.
    Total,
}

impl Ordering {
    /// The word used in reports.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Pure => "in any order",
            Self::PerKey => "in order for each key",
            Self::Total => "one after the other",
        }
    }
}
