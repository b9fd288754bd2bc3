//! Expressions.

use super::Printer;
use super::text::{constant, range, select};
use crate::ir::{BinaryOp, Kind, NodeId, UnaryOp};

/// Longest expression that is written in place.
const INLINE_LENGTH: usize = 72;

/// Where an expression stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// Alone on the right of an assignment to a net of its width.
    Root,
    /// Inside another expression.
    Part,
}

/// How tightly the text of an expression holds together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A name, literal, selection or concatenation.
    Atom,
    Unary,
    Binary(&'static str),
    Ternary,
}

/// The text of an expression.
pub(super) struct Text {
    pub text: String,
    pub shape: Shape,
}

impl Text {
    fn atom(text: String) -> Self {
        Self { text, shape: Shape::Atom }
    }

    /// The text as an operand: in parentheses unless it is an atom.
    fn operand(&self) -> String {
        if self.shape == Shape::Atom { self.text.clone() } else { format!("({})", self.text) }
    }

    /// As an operand of a chain of one associative operator. An inverted name needs no parentheses.
    fn chained(&self, operator: &str) -> String {
        let inverted = self.shape == Shape::Unary && self.text.starts_with(['!', '~']);
        if inverted || self.shape == Shape::Binary(operator_name(operator)) {
            return self.text.clone();
        }
        self.operand()
    }
}

fn operator_name(operator: &str) -> &'static str {
    match operator {
        "&&" => "&&",
        "||" => "||",
        "&" => "&",
        "|" => "|",
        "^" => "^",
        _ => "",
    }
}

impl Printer<'_> {
    /// The text of a node's value. Its width in Verilog is the node's.
    pub(super) fn expr(&mut self, id: NodeId, position: Position) -> Text {
        let node = self.m.node(id);
        if let Kind::Const(value) = &node.kind {
            let text = constant(value, node.signed);
            let shape = if text.starts_with('-') { Shape::Unary } else { Shape::Atom };
            return Text { text, shape };
        }
        if self.names[id as usize].is_some() {
            return self.whole(id);
        }
        if self.must_hoist(id, position) {
            self.hoist(id);
            return self.whole(id);
        }
        let text = self.inline(id, position);
        if position == Position::Part && text.text.len() > INLINE_LENGTH && !self.is_trivial(id) {
            self.declare(id, &text.text);
            return self.whole(id);
        }
        text
    }

    /// A condition or other operand by itself, without parentheses.
    pub(super) fn plain(&mut self, id: NodeId) -> String {
        self.expr(id, Position::Part).text
    }

    /// An address: never an operation, for Icarus computes those with more bits than they have.
    pub(super) fn index(&mut self, id: NodeId) -> String {
        let text = self.expr(id, Position::Part);
        if text.shape == Shape::Atom {
            return text.text;
        }
        self.declare(id, &text.text);
        self.whole(id).text
    }

    /// What an instance's input is connected to.
    pub(super) fn connection(&mut self, id: NodeId) -> String {
        self.expr(id, Position::Part).text
    }

    /// A declared node, read as a whole.
    fn whole(&mut self, id: NodeId) -> Text {
        let node = self.m.node(id);
        self.read.entry(id).or_default().insert(0, node.width);
        Text::atom(self.net(id))
    }

    /// The declared node that has the same bits: through changes of sign or domain; made if there is none.
    pub(super) fn base(&mut self, id: NodeId) -> NodeId {
        let mut id = id;
        while self.names[id as usize].is_none() {
            match self.m.node(id).kind {
                Kind::Unary(UnaryOp::Cast | UnaryOp::Cross, inner)
                    if self.m.node(id).name.is_none() =>
                {
                    id = inner
                }
                _ => {
                    self.hoist(id);
                    break;
                }
            }
        }
        id
    }

    /// Bits of a node, as a selection of a declared node.
    fn bits(&mut self, id: NodeId, low: u32, count: u32) -> String {
        if let Kind::Const(value) = &self.m.node(id).kind {
            return constant(&value.slice(low, count), false);
        }
        let base = self.base(id);
        self.read.entry(base).or_default().insert(low, count);
        select(&self.net(base), self.m.node(base).width, low, count)
    }

    /// Selections and casts of declared nodes are cheaper to repeat than to name.
    fn is_trivial(&self, id: NodeId) -> bool {
        match self.m.node(id).kind {
            Kind::Slice { of, .. } => {
                self.names[of as usize].is_some() || self.m.node(of).name.is_some()
            }
            Kind::Unary(UnaryOp::Cast | UnaryOp::Cross, of) => {
                self.names[of as usize].is_some() || self.is_trivial(of)
            }
            Kind::Const(_) => true,
            _ => false,
        }
    }

    fn must_hoist(&self, id: NodeId, position: Position) -> bool {
        let node = self.m.node(id);
        if node.name.is_some() || (self.uses[id as usize] > 1 && !self.is_trivial(id)) {
            return true;
        }
        let width = |id: NodeId| self.m.node(id).width;
        let resizes = |a: NodeId, b: NodeId| width(a) != node.width || width(b) != node.width;
        match node.kind {
            Kind::Lookup { .. } => true,
            Kind::Slice { .. } => self.in_comb,
            Kind::Unary(UnaryOp::Extend | UnaryOp::Neg, a) => self.in_comb && self.m.node(a).signed,
            Kind::Binary(BinaryOp::Mul, a, b) => position == Position::Part && resizes(a, b),
            Kind::Binary(BinaryOp::Add | BinaryOp::Sub, a, b) => self.in_comb && resizes(a, b),
            Kind::Binary(BinaryOp::Shr, a, _) => {
                position == Position::Part && self.m.node(a).signed
            }
            _ => false,
        }
    }

    /// Gives a node a wire of its own.
    pub(super) fn hoist(&mut self, id: NodeId) {
        if self.names[id as usize].is_some() {
            return;
        }
        let in_comb = std::mem::replace(&mut self.in_comb, false);
        let hint = self.m.node(id).name.clone().map(|name| std::mem::replace(&mut self.hint, name));
        if matches!(self.m.node(id).kind, Kind::Lookup { .. }) {
            self.hoist_lookup(id);
        } else {
            let text = self.inline(id, Position::Root).text;
            self.declare(id, &text);
        }
        if let Some(hint) = hint {
            self.hint = hint;
        }
        self.in_comb = in_comb;
    }

    fn declare(&mut self, id: NodeId, text: &str) {
        let node = self.m.node(id);
        let name = self.wire_name(id);
        super::text::comment(&mut self.wires, "  ", &node.doc);
        self.wires
            .push_str(&format!("  wire{} {name} = {text};\n", range(node.width, node.signed)));
        self.names[id as usize] = Some(name);
    }

    /// The author's name, or one made from the target and the operation.
    fn wire_name(&mut self, id: NodeId) -> String {
        let node = self.m.node(id);
        if let Some(name) = &node.name {
            return super::escape(name);
        }
        if let Kind::Slice { of, low } = node.kind
            && let Some(net) = self.names[of as usize].clone()
        {
            let high = low + node.width - 1;
            let suffix = if node.width == 1 { format!("{low}") } else { format!("{high}_{low}") };
            return self.fresh(&format!("{net}_{suffix}"));
        }
        let what = match &node.kind {
            Kind::Unary(UnaryOp::Not, _) => "inverted",
            Kind::Unary(UnaryOp::Neg, _) => "negated",
            Kind::Unary(UnaryOp::ReduceAnd, _) => "all",
            Kind::Unary(UnaryOp::ReduceOr, _) => "any",
            Kind::Unary(UnaryOp::ReduceXor, _) => "parity",
            Kind::Unary(UnaryOp::Extend, _) => "wide",
            Kind::Unary(UnaryOp::Cast | UnaryOp::Cross, _) => "bits",
            Kind::Binary(BinaryOp::Add, ..) => "sum",
            Kind::Binary(BinaryOp::Sub, ..) => "difference",
            Kind::Binary(BinaryOp::Mul, ..) => "product",
            Kind::Binary(BinaryOp::And, ..) => "and",
            Kind::Binary(BinaryOp::Or, ..) => "or",
            Kind::Binary(BinaryOp::Xor, ..) => "xor",
            Kind::Binary(BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le, ..) => {
                "compare"
            }
            Kind::Binary(BinaryOp::Shl | BinaryOp::Shr, ..) => "shifted",
            Kind::Mux { .. } => "choice",
            Kind::Concat(_) => "joined",
            Kind::Slice { .. } => "part",
            Kind::Lookup { .. } => "lookup",
            _ => "value",
        };
        let hint = self.hint.clone();
        self.fresh(&format!("{hint}_{what}"))
    }

    fn hoist_lookup(&mut self, id: NodeId) {
        let Kind::Lookup { key, arms, default } = &self.m.node(id).kind else { return };
        let node = self.m.node(id);
        let name = self.wire_name(id);
        self.in_comb = true;
        let subject = self.plain(*key);
        let mut body = String::new();
        for group in arms.chunk_by(|a, b| a.1 == b.1) {
            let keys: Vec<String> = group.iter().map(|(key, _)| constant(key, false)).collect();
            let value = self.expr(group[0].1, Position::Part).text;
            body.push_str(&format!("      {}: {name} = {value};\n", keys.join(", ")));
        }
        let value = self.expr(*default, Position::Part).text;
        self.in_comb = false;
        body.push_str(&format!("      default: {name} = {value};\n"));
        super::text::comment(&mut self.wires, "  ", &node.doc);
        self.wires.push_str(&format!("  logic{} {name};\n", range(node.width, node.signed)));
        self.wires.push_str(&format!(
            "  always_comb begin\n    case ({subject})\n{body}    endcase\n  end\n"
        ));
        self.names[id as usize] = Some(name);
    }

    /// The text of an operation, written in place.
    pub(super) fn inline(&mut self, id: NodeId, position: Position) -> Text {
        let m = self.m;
        let node = m.node(id);
        match &node.kind {
            Kind::Unary(UnaryOp::Cast | UnaryOp::Cross, a) => self.expr(*a, position),
            Kind::Unary(UnaryOp::Extend, a) => Text::atom(self.resized(*a, node.width)),
            Kind::Unary(UnaryOp::Neg, a) => {
                let text = format!("-{}", self.resized_operand(*a, node.width));
                Text { text, shape: Shape::Unary }
            }
            Kind::Unary(op, a) => {
                let operator = match op {
                    UnaryOp::Not if node.boolean => "!",
                    UnaryOp::Not => "~",
                    UnaryOp::ReduceAnd => "&",
                    UnaryOp::ReduceXor => "^",
                    _ => "|",
                };
                if *op == UnaryOp::Not
                    && node.boolean
                    && let Some(text) = self.inverted_comparison(*a)
                {
                    return text;
                }
                let a = self.expr(*a, Position::Part).operand();
                Text { text: format!("{operator}{a}"), shape: Shape::Unary }
            }
            Kind::Binary(op, a, b) => self.binary(id, *op, *a, *b, position),
            Kind::Mux { cond, yes, no } => {
                let cond = self.expr(*cond, Position::Part).operand();
                let (yes, no) = (self.expr(*yes, Position::Part), self.expr(*no, Position::Part));
                let then = if yes.shape == Shape::Ternary { yes.operand() } else { yes.text };
                let text = format!("{cond} ? {then} : {}", no.text);
                Text { text, shape: Shape::Ternary }
            }
            Kind::Concat(parts) => {
                if parts.len() > 1 && parts.iter().all(|part| *part == parts[0]) {
                    let part = self.expr(parts[0], Position::Part).text;
                    return Text::atom(format!("{{{}{{{part}}}}}", parts.len()));
                }
                let parts: Vec<String> =
                    parts.iter().map(|&part| self.expr(part, Position::Part).text).collect();
                Text::atom(format!("{{{}}}", parts.join(", ")))
            }
            Kind::Slice { of, low } => Text::atom(self.bits(*of, *low, node.width)),
            Kind::Const(value) => Text::atom(constant(value, node.signed)),
            _ => self.whole(id),
        }
    }

    /// `!(a == b)` reads better as `a != b`.
    fn inverted_comparison(&mut self, id: NodeId) -> Option<Text> {
        let node = self.m.node(id);
        let Kind::Binary(op, a, b) = node.kind else { return None };
        if self.names[id as usize].is_some() || self.must_hoist(id, Position::Part) {
            return None;
        }
        match op {
            BinaryOp::Eq => Some(self.equality("!=", a, b)),
            BinaryOp::Ne => Some(self.equality("==", a, b)),
            _ => None,
        }
    }

    fn equality(&mut self, operator: &'static str, a: NodeId, b: NodeId) -> Text {
        let left = self.expr(a, Position::Part);
        let right = match self.state_constant(a, b) {
            Some(name) => name,
            None => self.expr(b, Position::Part).operand(),
        };
        Text {
            text: format!("{} {operator} {right}", left.operand()),
            shape: Shape::Binary(operator),
        }
    }

    /// The name of a state, if `reg` holds states and `value` is constant.
    pub(super) fn state_constant(&self, reg: NodeId, value: NodeId) -> Option<String> {
        match &self.m.node(value).kind {
            Kind::Const(value) => self.state_key(reg, value),
            _ => None,
        }
    }

    /// The name of the state that `value` stands for in `reg`.
    pub(super) fn state_key(&self, reg: NodeId, value: &crate::bits::Bits) -> Option<String> {
        let Kind::Reg(index) = self.m.node(reg).kind else { return None };
        let states = self.m.regs[index].states.as_ref()?;
        let name = states.values.get(value.to_u64() as usize)?;
        Some(super::text::state_name(&states.name, name))
    }

    fn binary(
        &mut self,
        id: NodeId,
        op: BinaryOp,
        a: NodeId,
        b: NodeId,
        position: Position,
    ) -> Text {
        let node = self.m.node(id);
        match op {
            BinaryOp::Add => self.arithmetic(id, "+", a, b, position),
            BinaryOp::Sub => self.arithmetic(id, "-", a, b, position),
            BinaryOp::Mul => self.arithmetic(id, "*", a, b, position),
            BinaryOp::And | BinaryOp::Or | BinaryOp::Xor => {
                let operator = match (op, node.boolean) {
                    (BinaryOp::And, true) => "&&",
                    (BinaryOp::And, false) => "&",
                    (BinaryOp::Or, true) => "||",
                    (BinaryOp::Or, false) => "|",
                    _ => "^",
                };
                let (a, b) = (self.expr(a, Position::Part), self.expr(b, Position::Part));
                let text = format!("{} {operator} {}", a.chained(operator), b.chained(operator));
                Text { text, shape: Shape::Binary(operator) }
            }
            BinaryOp::Eq => self.equality("==", a, b),
            BinaryOp::Ne => self.equality("!=", a, b),
            BinaryOp::Lt | BinaryOp::Le => {
                let flipped = matches!(self.m.node(a).kind, Kind::Const(_));
                let (operator, a, b) = match (op, flipped) {
                    (BinaryOp::Lt, false) => ("<", a, b),
                    (BinaryOp::Lt, true) => (">", b, a),
                    (_, false) => ("<=", a, b),
                    (_, true) => (">=", b, a),
                };
                let (a, b) = (self.comparable(a), self.comparable(b));
                Text { text: format!("{a} {operator} {b}"), shape: Shape::Binary(operator) }
            }
            BinaryOp::Shl | BinaryOp::Shr => {
                let arithmetic = op == BinaryOp::Shr && self.m.node(a).signed;
                let operator = match op {
                    BinaryOp::Shl => "<<",
                    _ if arithmetic => ">>>",
                    _ => ">>",
                };
                let a = if arithmetic {
                    self.signed_atom(a)
                } else {
                    self.expr(a, Position::Part).operand()
                };
                let b = self.shift_amount(b);
                Text { text: format!("{a} {operator} {b}"), shape: Shape::Binary(operator) }
            }
        }
    }

    /// The amount of a shift, 32 bits wide or without a width.
    ///
    /// Verilator 5.048 joins nested shifts and adds their amounts in the width of the amounts: `(x << 2'd3) << e` with an `e`
    /// of 2 bits becomes `x << (2'd3 + e)`, which loses the carry. In 32 bits the sum cannot overflow.
    fn shift_amount(&mut self, amount: NodeId) -> String {
        let node = self.m.node(amount);
        match &node.kind {
            Kind::Const(value) if value.significant_bits() <= 31 => value.to_u64().to_string(),
            _ if node.width < 32 => {
                let unused = 32 - node.width;
                format!("{{{unused}'d0, {}}}", self.expr(amount, Position::Part).text)
            }
            _ => self.expr(amount, Position::Part).operand(),
        }
    }

    /// Sums and products. Verilog extends the operands itself only where the result is declared with its width.
    fn arithmetic(
        &mut self,
        id: NodeId,
        operator: &'static str,
        a: NodeId,
        b: NodeId,
        position: Position,
    ) -> Text {
        let m = self.m;
        let (node, left, right) = (m.node(id), m.node(a), m.node(b));
        let exact = left.width == node.width && right.width == node.width;
        let carries = operator != "*" && left.width == right.width && left.width + 1 == node.width;
        let grows = operator == "*" && left.width <= node.width && right.width <= node.width;
        if !exact && position == Position::Root && (carries || grows) {
            let (a, b) = (self.extendable(a), self.extendable(b));
            return Text { text: format!("{a} {operator} {b}"), shape: Shape::Binary(operator) };
        }
        let (a, b) = (self.resized_operand(a, node.width), self.resized_operand(b, node.width));
        Text { text: format!("{a} {operator} {b}"), shape: Shape::Binary(operator) }
    }

    /// An operand that Verilog compares as its sign says, with another of its kind.
    fn comparable(&mut self, id: NodeId) -> String {
        if self.m.node(id).signed { self.signed_atom(id) } else { self.unsigned_atom(id) }
    }

    /// An operand that Verilog extends as its sign says, with another of its kind. A minus sign would be an operator
    /// that is extended before it is applied, so negative literals are written as bits.
    fn extendable(&mut self, id: NodeId) -> String {
        let node = self.m.node(id);
        match &node.kind {
            Kind::Const(value) if node.signed && value.bit(node.width - 1) => {
                format!("{}'sh{}", node.width, value.to_hex())
            }
            _ => self.comparable(id),
        }
    }

    /// A signed name or literal.
    fn signed_atom(&mut self, id: NodeId) -> String {
        if let Kind::Const(value) = &self.m.node(id).kind {
            let text = constant(value, true);
            return if text.starts_with('-') { format!("({text})") } else { text };
        }
        let base = self.base(id);
        let name = self.whole(base).text;
        if self.m.node(base).signed { name } else { format!("$signed({name})") }
    }

    /// An unsigned name, selection, concatenation or literal.
    fn unsigned_atom(&mut self, id: NodeId) -> String {
        if let Kind::Const(value) = &self.m.node(id).kind {
            return constant(value, false);
        }
        let mut inner = id;
        while self.names[inner as usize].is_none()
            && self.m.node(inner).name.is_none()
            && let Kind::Unary(UnaryOp::Cast | UnaryOp::Cross, of) = self.m.node(inner).kind
        {
            inner = of;
        }
        let atomic = self.names[inner as usize].is_none() && self.m.node(inner).name.is_none();
        if atomic && matches!(self.m.node(inner).kind, Kind::Slice { .. } | Kind::Concat(_)) {
            let text = self.expr(inner, Position::Part).text;
            if self.names[inner as usize].is_none() {
                return text;
            }
        }
        let base = self.base(inner);
        let name = self.whole(base).text;
        if self.m.node(base).signed { format!("$unsigned({name})") } else { name }
    }

    fn resized_operand(&mut self, id: NodeId, width: u32) -> String {
        if self.m.node(id).width == width {
            self.expr(id, Position::Part).operand()
        } else {
            self.resized(id, width)
        }
    }

    /// A value extended by its own sign, or cut, to `width` bits; an atom.
    fn resized(&mut self, id: NodeId, width: u32) -> String {
        let m = self.m;
        let node = m.node(id);
        if let Kind::Const(value) = &node.kind {
            let text = constant(&crate::arith::resize(value, node.signed, width), node.signed);
            return if text.starts_with('-') { format!("({text})") } else { text };
        }
        if node.width == width {
            return self.expr(id, Position::Part).operand();
        }
        if node.width > width {
            return self.bits(id, 0, width);
        }
        let more = width - node.width;
        if !node.signed {
            let value = self.expr(id, Position::Part).text;
            return format!("{{{}, {value}}}", constant(&crate::bits::Bits::zero(more), false));
        }
        let sign = self.bits(id, node.width - 1, 1);
        let value = self.bits(id, 0, node.width);
        if more == 1 {
            format!("{{{sign}, {value}}}")
        } else {
            format!("{{{{{more}{{{sign}}}}}, {value}}}")
        }
    }
}
