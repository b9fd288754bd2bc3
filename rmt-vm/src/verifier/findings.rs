//! Collects violations and warnings, and knows how to name places of the program.

use std::cell::OnceCell;
use std::fmt::Write as _;

use rmt_isa::Program;
use rmt_isa::operand::{FieldRef, Operand};

use super::report::Warning;
use super::rules::Rule;
use super::violation::{InstructionPlace, ObjectName, Place, Violation};

/// Characters of a name that messages show.
const SHOWN_NAME: usize = 64;

/// What the checks have found so far. Bounded: a hostile program cannot make it grow.
pub(super) struct Findings<'p> {
    pub(super) program: &'p Program,
    limit: usize,
    violations: Vec<Violation>,
    warnings: Vec<Warning>,
    hidden: bool,
    /// For each action the first table that runs it, found when first asked for.
    first_tables: OnceCell<Vec<Option<usize>>>,
}

impl<'p> Findings<'p> {
    pub(super) fn new(program: &'p Program, limit: usize) -> Self {
        let limit = limit.max(1);
        Self {
            program,
            limit,
            violations: Vec::new(),
            warnings: Vec::new(),
            hidden: false,
            first_tables: OnceCell::new(),
        }
    }

    /// Records a violation; once the bound is reached, only that there are more.
    pub(super) fn refuse(
        &mut self,
        rule: Rule,
        place: Place,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        if self.violations.len() >= self.limit {
            self.hidden = true;
            return;
        }
        let (reason, remedy) = (reason.into(), remedy.into());
        self.violations.push(Violation { rule, title: rule.title(), place, reason, remedy });
    }

    /// Records something odd that is no reason to refuse.
    pub(super) fn warn(&mut self, place: Place, text: impl Into<String>) {
        if self.warnings.len() < self.limit {
            self.warnings.push(Warning { place, text: text.into() });
        }
    }

    /// Whether further violations would not be shown: loops over many objects stop then.
    pub(super) fn full(&self) -> bool {
        self.hidden
    }

    pub(super) fn any(&self) -> bool {
        !self.violations.is_empty()
    }

    /// How many there are: a check compares before and after to learn whether it found any.
    pub(super) fn count(&self) -> usize {
        self.violations.len() + usize::from(self.hidden)
    }

    /// All violations, the last one telling of those that are not shown; else the warnings.
    pub(super) fn finish(mut self) -> Result<Vec<Warning>, Vec<Violation>> {
        if self.violations.is_empty() {
            return Ok(self.warnings);
        }
        if self.hidden {
            self.violations.push(Violation {
                rule: Rule::NotShown,
                title: Rule::NotShown.title(),
                place: self.whole(),
                reason: format!("only the first {} are shown", self.limit),
                remedy: "mend these first, or raise the limit on violations".into(),
            });
        }
        Err(self.violations)
    }

    /// What is said when a check gives up without a reason, which none should.
    pub(super) fn unexplained(&self) -> Violation {
        Violation {
            rule: Rule::NotShown,
            title: Rule::NotShown.title(),
            place: self.whole(),
            reason: "the verifier gave up without a reason: a defect of the verifier".into(),
            remedy: "report the program to the project".into(),
        }
    }

    /// The program as a whole.
    pub(super) fn whole(&self) -> Place {
        Place {
            program: quote(&self.program.name),
            source: quote(&self.program.source),
            ..Place::default()
        }
    }

    /// Any object, described in words: ``tensor 3 `w1` ``.
    pub(super) fn object(&self, what: &str, index: usize, name: &str) -> Place {
        let object = Some(format!("{what} {index} `{}`", quote(name)));
        Place { object, ..self.whole() }
    }

    pub(super) fn table(&self, index: usize) -> Place {
        let table = self.program.tables.get(index).map(|table| name(index, &table.name));
        Place { table, ..self.whole() }
    }

    /// A part of a table: ``entry 5``.
    pub(super) fn in_table(&self, index: usize, part: String) -> Place {
        Place { object: Some(part), ..self.table(index) }
    }

    pub(super) fn action(&self, index: usize) -> Place {
        let tables = self.first_tables.get_or_init(|| first_tables(self.program));
        let table = tables.get(index).copied().flatten();
        let place = table.map_or_else(|| self.whole(), |table| self.table(table));
        let action = self.program.actions.get(index).map(|action| name(index, &action.name));
        Place { action, ..place }
    }

    /// An instruction; `index` may lie past the end, then the place is the action.
    pub(super) fn instruction(&self, action: usize, index: usize) -> Place {
        let place = self.action(action);
        let Some(instruction) = self.program.actions.get(action).and_then(|a| a.code.get(index))
        else {
            return place;
        };
        let text = instruction.to_string();
        let mut names = String::new();
        for operand in instruction.operands() {
            if let Some(name) = self.operand_name(action, operand.value) {
                let separator = if names.is_empty() { "" } else { ", " };
                let _ = write!(names, "{separator}{} = {name}", operand.value);
            }
        }
        Place {
            line: self.line(action, index),
            instruction: Some(InstructionPlace { index, text, names }),
            ..place
        }
    }

    /// The source line of an instruction, where the program has one.
    pub(super) fn line(&self, action: usize, index: usize) -> Option<u32> {
        let line = *self.program.actions.get(action)?.lines.get(index)?;
        (line != 0).then_some(line)
    }

    /// `instruction 7`, with its source line where there is one.
    pub(super) fn instruction_text(&self, action: usize, index: usize) -> String {
        match self.line(action, index) {
            Some(line) => format!("instruction {index} (line {line})"),
            None => format!("instruction {index}"),
        }
    }

    /// The declared name behind an operand that is an index.
    pub(super) fn operand_name(&self, action: usize, operand: Operand) -> Option<String> {
        let program = self.program;
        let name = match operand {
            Operand::ContextId(id) => &program.contexts.get(id.index())?.name,
            Operand::FieldRef(field) => return self.field_name(field),
            Operand::MapId(id) => &program.maps.get(id.index())?.name,
            Operand::TableId(id) => &program.tables.get(id.index())?.name,
            Operand::TensorId(id) => &program.tensors.get(id.index())?.name,
            Operand::Bias(bias) => &program.tensors.get(bias.0?.index())?.name,
            Operand::ScaleId(id) => &program.scales.get(id.index())?.name,
            Operand::ForestId(id) => &program.forests.get(id.index())?.name,
            Operand::WindowId(id) => &program.windows.get(id.index())?.name,
            Operand::EventOffset(offset) => {
                let mut fields = program.hook.fields.iter();
                &fields.find(|field| u16::from(field.offset) == offset.number())?.name
            }
            Operand::OutputIndex(id) => &program.outputs.get(id.index())?.name,
            Operand::ParameterIndex(id) => {
                &program.actions.get(action)?.parameters.get(id.index())?.name
            }
            _ => return None,
        };
        Some(quote(name))
    }

    /// `store.field`.
    pub(super) fn field_name(&self, field: FieldRef) -> Option<String> {
        let context = self.program.contexts.get(field.context.index())?;
        let name = &context.fields.get(usize::from(field.field))?.name;
        Some(format!("{}.{}", quote(&context.name), quote(name)))
    }
}

fn first_tables(program: &Program) -> Vec<Option<usize>> {
    let mut first = vec![None; program.actions.len()];
    for (index, table) in program.tables.iter().enumerate() {
        let default = table.default.as_ref().map(|call| call.action);
        for action in table.actions.iter().copied().chain(default) {
            if let Some(place) = first.get_mut(usize::from(action)) {
                place.get_or_insert(index);
            }
        }
    }
    first
}

fn name(index: usize, name: &str) -> ObjectName {
    ObjectName { index, name: quote(name) }
}

/// A name as messages show it: escaped, so that it cannot break a line or a terminal, and cut.
pub(super) fn quote(name: &str) -> String {
    let mut shown: String = name.chars().take(SHOWN_NAME).flat_map(char::escape_debug).collect();
    if name.chars().nth(SHOWN_NAME).is_some() {
        shown.push('…');
    }
    shown
}

/// `1 lane`, `2 lanes`.
pub(super) fn plural(count: u64, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {what}{ending}", group_digits(count))
}

/// A number with a space after each group of three digits: `1 048 576`.
pub(super) fn group_digits(number: impl Into<i128>) -> String {
    let number = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut grouped = String::from(if number < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index != 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_a_message() {
        assert_eq!(quote("a\n\u{1b}[31mb"), "a\\n\\u{1b}[31mb");
        assert_eq!(quote(&"x".repeat(1000)), format!("{}…", "x".repeat(SHOWN_NAME)));
    }

    #[test]
    fn numbers_are_grouped() {
        let numbers = [0_i64, 999, 1000, -1_048_576];
        assert_eq!(numbers.map(group_digits), ["0", "999", "1 000", "-1 048 576"]);
    }

    #[test]
    fn findings_stay_bounded() {
        let program = Program::default();
        let mut findings = Findings::new(&program, 2);
        for _ in 0..5 {
            findings.refuse(Rule::NoTable, findings.whole(), "reason", "remedy");
        }
        assert!(findings.full());
        let rules: Vec<_> = findings.finish().unwrap_err().iter().map(|v| v.rule).collect();
        assert_eq!(rules, [Rule::NoTable, Rule::NoTable, Rule::NotShown]);
    }
}
