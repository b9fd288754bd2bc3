//! The syntax tree: what the parser found, before anything is known of names and types.

use rmt_isa::operand::{Element, IntType};
use rmt_isa::program::{Label, MapKind};

use crate::source::{Name, Span, Spanned};

/// Deepest nesting of one expression; a sum of so many terms is as deep.
pub(crate) const MAX_EXPRESSION_HEIGHT: u16 = 64;
/// Deepest nesting of blocks.
pub(crate) const MAX_BLOCK_DEPTH: u16 = 32;

/// A whole file.
#[derive(Debug, Default)]
pub(crate) struct File {
    pub(crate) program: Option<Name>,
    pub(crate) hook: Option<Hook>,
    pub(crate) outputs: Vec<Field>,
    pub(crate) contexts: Vec<Context>,
    pub(crate) maps: Vec<Map>,
    pub(crate) models: Vec<Model>,
    pub(crate) constants: Vec<Constant>,
    pub(crate) tables: Vec<Table>,
    pub(crate) actions: Vec<Action>,
    pub(crate) functions: Vec<Function>,
}

/// `hook NAME = NUMBER { ... }`.
#[derive(Debug)]
pub(crate) struct Hook {
    pub(crate) name: Name,
    pub(crate) number: Expression,
    pub(crate) fields: Vec<Field>,
}

/// A field of the event, of the decision or of a context record.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: Name,
    pub(crate) kind: Spanned<TypeName>,
    pub(crate) label: Label,
    /// `key`: the event's key.
    pub(crate) is_key: bool,
    /// `readonly`: actions do not write it.
    pub(crate) is_read_only: bool,
    /// `ring`: a history, not one value.
    pub(crate) is_ring: bool,
    /// `@ byte`.
    pub(crate) offset: Option<Expression>,
}

/// `context NAME[capacity] { ... }`.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) name: Name,
    pub(crate) capacity: Expression,
    pub(crate) fields: Vec<Field>,
}

/// `map NAME: kind<type>[capacity];`.
#[derive(Debug)]
pub(crate) struct Map {
    pub(crate) name: Name,
    pub(crate) kind: MapKind,
    pub(crate) value: IntType,
    pub(crate) capacity: Expression,
    pub(crate) label: Label,
}

/// `model NAME = "file";`.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: Name,
    pub(crate) path: Name,
}

/// `const NAME: type = value;`.
#[derive(Debug)]
pub(crate) struct Constant {
    pub(crate) name: Name,
    pub(crate) kind: Option<Spanned<TypeName>>,
    pub(crate) value: Expression,
}

/// How one field of a key is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldMatch {
    Exact,
    LongestPrefix,
    Ternary,
    Range,
}

/// `table NAME(arguments) { ... }`.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: Name,
    pub(crate) arguments: Vec<Parameter>,
    pub(crate) key: Vec<(Name, Spanned<FieldMatch>)>,
    pub(crate) actions: Vec<Name>,
    pub(crate) default: Option<ActionCall>,
    pub(crate) size: Option<Expression>,
    pub(crate) entries: Vec<Entry>,
}

/// An action and the values of its parameters.
#[derive(Debug)]
pub(crate) struct ActionCall {
    pub(crate) action: Name,
    pub(crate) values: Vec<Expression>,
}

/// `pattern: action(values) priority n;`.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) patterns: Vec<Spanned<Pattern>>,
    pub(crate) call: ActionCall,
    pub(crate) priority: Option<Expression>,
    pub(crate) span: Span,
}

/// What an entry says of one field.
#[derive(Debug)]
pub(crate) enum Pattern {
    /// `_`
    Any,
    /// `5`
    Value(Expression),
    /// `5/24`
    Prefix(Expression, Expression),
    /// `5 &&& 0xf`
    Mask(Expression, Expression),
    /// `1..=5`
    Range(Expression, Expression),
}

/// A parameter of an action or function, an argument of a table.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) name: Name,
    pub(crate) kind: Spanned<TypeName>,
    /// `in`: handed over by the tail call, not part of the entry.
    pub(crate) is_argument: bool,
}

/// `action NAME(parameters) { ... }`.
#[derive(Debug)]
pub(crate) struct Action {
    pub(crate) name: Name,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) body: Block,
}

/// `fn NAME(parameters) -> type { ... }`.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: Name,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) result: Option<Spanned<TypeName>>,
    pub(crate) body: Block,
}

/// A type as written.
#[derive(Clone, Debug)]
pub(crate) enum TypeName {
    Int(IntType),
    Bool,
    /// `i16[15]`
    Array(IntType, Box<Expression>),
    /// The name of a context: a record of it.
    Record(String),
}

/// Statements in braces.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) statements: Vec<Statement>,
    /// The closing brace.
    pub(crate) end: Span,
}

/// A statement.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) kind: StatementKind,
    pub(crate) span: Span,
}

/// Kinds of statement.
#[derive(Debug)]
pub(crate) enum StatementKind {
    Let {
        mutable: bool,
        name: Name,
        kind: Option<Spanned<TypeName>>,
        value: Expression,
    },
    /// `place = value;` or, with an operator, `place += value;`.
    Assign {
        place: Expression,
        operator: Option<BinaryOperator>,
        value: Expression,
    },
    If {
        condition: Expression,
        then: Block,
        otherwise: Option<Block>,
    },
    For {
        variable: Name,
        from: Expression,
        to: Expression,
        inclusive: bool,
        body: Block,
    },
    Match {
        subject: Expression,
        arms: Vec<MatchArm>,
    },
    Block(Block),
    Return(Option<Expression>),
    Break,
    Continue,
    Decide,
    Abstain,
    Goto {
        table: Name,
        values: Vec<Expression>,
    },
    Expression(Expression),
}

impl StatementKind {
    /// Whether nothing after the statement is run.
    pub(crate) fn leaves(&self) -> bool {
        matches!(
            self,
            Self::Return(_)
                | Self::Break
                | Self::Continue
                | Self::Decide
                | Self::Abstain
                | Self::Goto { .. }
        )
    }
}

/// `1 | 2 => ...` of a `match` statement.
#[derive(Debug)]
pub(crate) struct MatchArm {
    pub(crate) patterns: Vec<Spanned<Pattern>>,
    pub(crate) body: Block,
}

/// An expression.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    pub(crate) kind: ExpressionKind,
    pub(crate) span: Span,
    /// One more than that of its highest part; bounds the recursion of all that walk it.
    pub(crate) height: u16,
}

/// Kinds of expression.
#[derive(Clone, Debug)]
pub(crate) enum ExpressionKind {
    Number(u64),
    Bool(bool),
    Name(String),
    Field(Box<Expression>, Name),
    Index(Box<Expression>, Box<Expression>),
    /// `event[first..=last]`: fields side by side.
    Slice(Box<Expression>, Name, Name),
    Call(Box<Expression>, Vec<Expression>),
    Unary(UnaryOperator, Box<Expression>),
    Binary(BinaryOperator, Box<Expression>, Box<Expression>),
    Cast(Box<Expression>, Spanned<TypeName>),
    If(Box<Expression>, Box<Expression>, Box<Expression>),
    /// `[1, 2, 3]`
    List(Vec<Expression>),
    /// `[value; count]`
    Fill(Box<Expression>, Box<Expression>),
}

/// Operators of one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnaryOperator {
    Negate,
    Not,
    Complement,
}

/// Operators of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum BinaryOperator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    BitAnd,
    BitOr,
    BitXor,
    ShiftLeft,
    ShiftRight,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    And,
    Or,
}

impl BinaryOperator {
    /// All operators with their spelling and how strongly they bind.
    pub(crate) const TABLE: &[(&str, Self, u8)] = &[
        ("||", Self::Or, 1),
        ("&&", Self::And, 2),
        ("==", Self::Equal, 3),
        ("!=", Self::NotEqual, 3),
        ("<", Self::Less, 3),
        ("<=", Self::LessEqual, 3),
        (">", Self::Greater, 3),
        (">=", Self::GreaterEqual, 3),
        ("|", Self::BitOr, 4),
        ("^", Self::BitXor, 5),
        ("&", Self::BitAnd, 6),
        ("<<", Self::ShiftLeft, 7),
        (">>", Self::ShiftRight, 7),
        ("+", Self::Add, 8),
        ("-", Self::Subtract, 8),
        ("*", Self::Multiply, 9),
        ("/", Self::Divide, 9),
        ("%", Self::Remainder, 9),
    ];

    /// As written.
    pub(crate) fn text(self) -> &'static str {
        Self::TABLE.iter().find(|row| row.1 == self).map_or("?", |row| row.0)
    }

    /// `==`, `<` and the like.
    pub(crate) fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Equal
                | Self::NotEqual
                | Self::Less
                | Self::LessEqual
                | Self::Greater
                | Self::GreaterEqual
        )
    }
}

/// The vector element of a signed integer type of at most 32 bits.
pub(crate) fn element_of(kind: IntType) -> Option<Element> {
    match kind {
        IntType::I8 => Some(Element::I8),
        IntType::I16 => Some(Element::I16),
        IntType::I32 => Some(Element::I32),
        _ => None,
    }
}

/// The integer type of a vector element.
pub(crate) fn int_of(element: Element) -> IntType {
    match element {
        Element::I8 => IntType::I8,
        Element::I16 => IntType::I16,
        Element::I32 => IntType::I32,
    }
}
