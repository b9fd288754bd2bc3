//! Reads test files, see the module above for the format.

use std::path::Path;

use rmt_isa::operand::{IntType, OperandValue};
use rmt_isa::program::{
    Action, ActionCall, Entry, EventField, Hook, Label, MatchKind, Matcher, Output, Parameter,
    Table,
};
use rmt_isa::{Event, Program, Status, assembly};
use serde_json::{Value, json};

use super::{Case, Step, StepAction};
use crate::state::model::form::{ForestForm, TensorForm};

/// Number of the hook of test programs.
const HOOK: u16 = 1;

/// Why a file is no test file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: line {line}: {reason}")]
pub struct ParseError {
    /// The file.
    pub file: String,
    /// The line, from 1; 0: the file as a whole.
    pub line: usize,
    /// What was expected and what was found.
    pub reason: String,
}

/// Reads the tests of all `.rmtasm` files of a folder, by the files' names in order.
///
/// # Errors
/// [`ParseError`] with line 0 where the folder or a file cannot be read or the folder holds no such file, else
/// at the first line that is none of the format's.
pub fn parse_folder(folder: &Path) -> Result<Vec<Case>, ParseError> {
    let unreadable = |path: &Path, reason: String| ParseError {
        file: path.display().to_string(),
        line: 0,
        reason,
    };
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|error| unreadable(folder, error.to_string()))?;
    let mut files: Vec<_> = entries
        .iter()
        .map(std::fs::DirEntry::path)
        .filter(|path| path.extension().is_some_and(|extension| extension == "rmtasm"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(unreadable(folder, "expected .rmtasm files, found none".into()));
    }
    let mut cases = Vec::new();
    for path in &files {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| unreadable(path, error.to_string()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        cases.extend(parse(&name, &text)?);
    }
    Ok(cases)
}

/// Where the next indented lines go.
enum Code {
    Before,
    After,
    Action(usize),
    Nowhere,
}

struct Parser {
    file: String,
    fields: Vec<EventField>,
    before: String,
    after: String,
    code: Code,
    /// Texts of the current test's actions.
    texts: Vec<String>,
    cases: Vec<Case>,
}

/// Reads the tests of a file; `file` is its name in messages.
///
/// # Errors
/// [`ParseError`] at the first line that is none of the format's.
pub fn parse(file: &str, text: &str) -> Result<Vec<Case>, ParseError> {
    let mut parser = Parser {
        file: file.to_owned(),
        fields: Vec::new(),
        before: String::new(),
        after: String::new(),
        code: Code::Nowhere,
        texts: Vec::new(),
        cases: Vec::new(),
    };
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let error = |reason| ParseError { file: file.to_owned(), line: number, reason };
        parser.line(number, line).map_err(error)?;
    }
    let error = |reason| ParseError { file: file.to_owned(), line: text.lines().count(), reason };
    parser.finish_case().map_err(error)?;
    Ok(parser.cases)
}

impl Parser {
    fn line(&mut self, number: usize, line: &str) -> Result<(), String> {
        let content = line.split(';').next().unwrap_or("").trim_end();
        if content.trim().is_empty() {
            return Ok(());
        }
        let is_label = content.ends_with(':') && !content.contains(' ');
        if content.starts_with(' ') || is_label {
            return self.code_line(content);
        }
        let (word, rest) = content.split_once(' ').unwrap_or((content, ""));
        let rest = rest.trim();
        if ["fields", "before", "after"].contains(&word) {
            self.finish_case()?;
        }
        match word {
            "fields" => self.fields = rest.split(' ').map(field).collect::<Result<_, _>>()?,
            "before" => (self.before, self.code) = (String::new(), Code::Before),
            "after" => (self.after, self.code) = (String::new(), Code::After),
            "test" => {
                self.finish_case()?;
                self.begin_case(rest);
            }
            _ => self.case_line(number, word, rest)?,
        }
        Ok(())
    }

    fn code_line(&mut self, line: &str) -> Result<(), String> {
        let text = match self.code {
            Code::Before => &mut self.before,
            Code::After => &mut self.after,
            Code::Action(number) => &mut self.texts[number],
            Code::Nowhere => {
                return Err("code stands behind `test`, `action`, `before` or `after`".into());
            }
        };
        text.push_str(line);
        text.push('\n');
        Ok(())
    }

    fn begin_case(&mut self, name: &str) {
        let hook = Hook { name: "test".into(), number: HOOK, fields: self.fields.clone() };
        let output = |index| Output {
            name: format!("out{index}"),
            kind: IntType::U64,
            label: Label::Public,
        };
        let program = Program {
            name: name.replace(' ', "_"),
            hook,
            outputs: (0..3).map(output).collect(),
            actions: vec![action("main", vec![], 0)],
            models: vec!["model".into()],
            ..Program::default()
        };
        let (file, name) = (self.file.clone(), name.to_owned());
        self.cases.push(Case { file, name, program, unverified: false, steps: vec![] });
        self.texts = vec![String::new()];
        self.code = Code::Action(0);
    }

    /// Puts the code together and gives a program without tables the one that it needs.
    fn finish_case(&mut self) -> Result<(), String> {
        let Some(case) = self.cases.last_mut() else { return Ok(()) };
        for (number, (action, text)) in
            case.program.actions.iter_mut().zip(self.texts.drain(..)).enumerate()
        {
            let text = match number {
                0 => format!("{}{text}{}", self.before, self.after),
                _ => text,
            };
            let error = |error| format!("test `{}`, action `{}`: {error}", case.name, action.name);
            action.code = assembly::assemble(&text).map_err(error)?;
            action.lines = vec![0; action.code.len()];
        }
        if case.program.tables.is_empty() {
            case.program.tables.push(table(0, &json!({}))?);
        }
        self.code = Code::Nowhere;
        Ok(())
    }

    fn case_line(&mut self, number: usize, word: &str, rest: &str) -> Result<(), String> {
        let case = self.cases.last_mut().ok_or("a test must begin with `test NAME`")?;
        let program = &mut case.program;
        match word {
            "unverified" => case.unverified = true,
            "action" => {
                self.code = Code::Action(self.texts.len());
                self.texts.push(String::new());
                program.actions.push(action_line(rest)?);
            }
            "table" => program.tables.push(table(program.tables.len(), &value(rest)?)?),
            "entry" => entry_line(program, rest)?,
            "context" => {
                let mut object = value(rest)?;
                let fields = object.get_mut("fields").and_then(Value::as_array_mut);
                for field in fields.into_iter().flatten() {
                    let defaults = json!({"ring": null, "writable": true, "label": "Public"});
                    *field = with_defaults(field, defaults);
                }
                program.contexts.push(object_of(object, json!({"name": "c", "capacity": 4}))?);
            }
            "map" => {
                let defaults = json!({"name": "m", "value": "U64", "label": "Public"});
                program.maps.push(object_of(value(rest)?, defaults)?);
            }
            "tensor" => {
                let tensor: TensorForm = object_of(value(rest)?, json!({"name": "t"}))?;
                program.tensors.push(tensor.into());
            }
            "scale" => {
                let defaults = json!({"name": "s", "model": 0, "zero_point": 0});
                program.scales.push(object_of(value(rest)?, defaults)?);
            }
            "window" => {
                let defaults = json!({
                    "name": "w", "channels": 1, "stride_y": 1, "stride_x": 1, "pad_top": 0, "pad_left": 0
                });
                program.windows.push(object_of(value(rest)?, defaults)?);
            }
            "forest" => {
                let forest: ForestForm = object_of(value(rest)?, json!({"name": "f"}))?;
                program.forests.push(forest.into());
            }
            "run" => {
                let action = run_line(&program.hook, rest)?;
                case.steps.push(Step { line: number, action });
            }
            "commit" => {
                let (changes, refused) = match rest.strip_suffix("=> refused") {
                    Some(changes) => (changes, true),
                    None => (rest, false),
                };
                let changes = serde_json::from_str(changes).map_err(|e| e.to_string())?;
                let action = StepAction::Commit { changes, refused };
                case.steps.push(Step { line: number, action });
            }
            "state" => {
                let (pointer, expected) =
                    rest.split_once(' ').ok_or("expected `state POINTER JSON`")?;
                let (pointer, expected) = (pointer.to_owned(), value(expected)?);
                case.steps
                    .push(Step { line: number, action: StepAction::State { pointer, expected } });
            }
            other => return Err(format!("`{other}` begins no line of a test file")),
        }
        Ok(())
    }
}

fn action(name: &str, parameters: Vec<Parameter>, arguments: u8) -> Action {
    Action { name: name.to_owned(), parameters, arguments, code: vec![], lines: vec![] }
}

fn value(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("JSON: {error}"))
}

fn with_defaults(object: &Value, mut defaults: Value) -> Value {
    if let (Some(object), Some(result)) = (object.as_object(), defaults.as_object_mut()) {
        result.extend(object.clone());
    }
    defaults
}

fn object_of<T: serde::de::DeserializeOwned>(object: Value, defaults: Value) -> Result<T, String> {
    serde_json::from_value(with_defaults(&object, defaults)).map_err(|error| error.to_string())
}

fn table(number: usize, object: &Value) -> Result<Table, String> {
    let defaults = json!({
        "name": format!("table{number}"), "kind": "Exact", "key": [], "capacity": 16, "actions": [0],
        "default": {"action": 0, "parameters": []}, "entries": [],
    });
    object_of(object.clone(), defaults)
}

/// `name:type@offset`.
fn field(text: &str) -> Result<EventField, String> {
    let error = || format!("`{text}` is no field; write NAME:TYPE@OFFSET");
    let (name, rest) = text.split_once(':').ok_or_else(error)?;
    let (kind, offset) = rest.split_once('@').ok_or_else(error)?;
    Ok(EventField {
        name: name.to_owned(),
        kind: IntType::parse(kind).ok_or_else(error)?,
        offset: offset.parse().map_err(|_| error())?,
        label: Label::Public,
    })
}

/// `name parameter:type ... arguments=N`.
fn action_line(rest: &str) -> Result<Action, String> {
    let mut words = rest.split_whitespace();
    let mut result = action(words.next().ok_or("an action has a name")?, vec![], 0);
    for word in words {
        if let Some(count) = word.strip_prefix("arguments=") {
            result.arguments = count.parse().map_err(|_| format!("`{count}` is no number"))?;
            continue;
        }
        let parameter = word.split_once(':').and_then(|(name, kind)| {
            Some(Parameter { name: name.to_owned(), kind: IntType::parse(kind)? })
        });
        result.parameters.push(parameter.ok_or(format!("`{word}` is no PARAMETER:TYPE"))?);
    }
    Ok(result)
}

/// A number, decimal or hexadecimal, negative ones as two's complement.
fn number(text: &str) -> Result<u64, String> {
    let error = || format!("`{text}` is no number of 64 bits");
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).map_err(|_| error());
    }
    match text.strip_prefix('-') {
        Some(_) => text.parse::<i64>().map(|value| value as u64).map_err(|_| error()),
        None => text.parse().map_err(|_| error()),
    }
}

fn wide_number(text: &str) -> Result<u128, String> {
    let digits = text.strip_prefix("0x").ok_or(format!("`{text}`: keys are written 0x..."))?;
    u128::from_str_radix(digits, 16).map_err(|_| format!("`{text}` is no number of 128 bits"))
}

/// `table matcher [priority n] => action values`.
fn entry_line(program: &mut Program, rest: &str) -> Result<(), String> {
    let (left, right) = rest.split_once("=>").ok_or("expected `=> ACTION` behind the matcher")?;
    let (table, left) = left.trim().split_once(' ').ok_or("expected `entry TABLE MATCHER`")?;
    let table: usize = table.parse().map_err(|_| format!("`{table}` is no table number"))?;
    let (text, priority) = left.split_once("priority").unwrap_or((left, "0"));
    let priority = priority.trim().parse().map_err(|_| format!("`{priority}` is no priority"))?;
    let mut words = right.split_whitespace();
    let name = words.next().ok_or("an entry names an action")?;
    let action = program.actions.iter().position(|action| action.name == name);
    let action = action.ok_or(format!("there is no action `{name}` above this line"))? as u16;
    let call = ActionCall { action, parameters: words.map(number).collect::<Result<_, _>>()? };
    let tables = program.tables.len();
    let table = program.tables.get_mut(table).ok_or(format!("there are {tables} tables"))?;
    table.entries.push(Entry { matcher: matcher(table.kind, text.trim())?, priority, call });
    Ok(())
}

fn matcher(kind: MatchKind, text: &str) -> Result<Matcher, String> {
    let error = || format!("`{text}` is no {kind:?} matcher");
    let (word, rest) = text.split_once(' ').ok_or_else(error)?;
    match word {
        "exact" => Ok(Matcher::Exact { key: wide_number(rest)? }),
        "prefix" => {
            let (key, length) = rest.split_once('/').ok_or_else(error)?;
            let length = length.parse().map_err(|_| error())?;
            Ok(Matcher::LongestPrefix { key: wide_number(key)?, length })
        }
        "ternary" => {
            let (value, mask) = rest.split_once(" mask ").ok_or_else(error)?;
            Ok(Matcher::Ternary { value: wide_number(value)?, mask: wide_number(mask)? })
        }
        "range" => {
            let bounds = rest.split(", ").map(|bound| {
                let (low, high) = bound.split_once("..=").ok_or_else(error)?;
                Ok::<_, String>((number(low)?, number(high)?))
            });
            let (low, high) = bounds.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
            Ok(Matcher::Range { low, high })
        }
        _ => Err(error()),
    }
}

/// `field=value ... => status outputs [steps=n]`.
fn run_line(hook: &Hook, rest: &str) -> Result<StepAction, String> {
    let (left, right) = rest.split_once("=>").ok_or("expected `=> STATUS` behind the fields")?;
    let mut event = Event::new(hook.number, 0, 0);
    for word in left.split_whitespace() {
        let (name, text) = word.split_once('=').ok_or(format!("`{word}` is no FIELD=VALUE"))?;
        let layout = match name {
            "hook" => (0, 2),
            "flags" => (2, 2),
            "tag" => (4, 4),
            "key" => (8, 8),
            _ => {
                let field = hook.fields.iter().find(|field| field.name == name);
                let field = field.ok_or(format!("there is no field `{name}`"))?;
                (field.offset.into(), field.kind.bytes())
            }
        };
        event.store(layout.0, layout.1, number(text)?);
    }
    let mut words = right.split_whitespace();
    let name = words.next().ok_or("a status is missing behind `=>`")?;
    let status = Status::ALL.iter().copied().find(|status| status.text() == name);
    let status = status.ok_or(format!("`{name}` is no status"))?;
    let (mut outputs, mut steps, mut place) = ([None; 3], None, 0);
    for word in words {
        if let Some(count) = word.strip_prefix("steps=") {
            steps = Some(number(count)?);
            continue;
        }
        let output = outputs.get_mut(place).ok_or("there are three outputs")?;
        *output = if word == "-" { None } else { Some(number(word)?) };
        place += 1;
    }
    Ok(StepAction::Run { event: Box::new(event), status, outputs, steps })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_reported_with_file_and_line() {
        for (text, line, part) in [
            ("test a\n    exit decided\nrun x=1 => decided\n", 3, "no field `x`"),
            ("test a\n    exit\n", 2, "takes 1 operands"),
            ("run => decided\n", 1, "must begin with `test"),
            ("test a\nrun => done\n", 2, "`done` is no status"),
            ("test a\nfrobnicate\n", 2, "begins no line"),
            ("test a\nmap {\"kind\": \"Tree\"}\n", 2, "Tree"),
            ("    add r1, r2, r3\n", 1, "code stands behind"),
        ] {
            let error = parse("t.rmtasm", text).unwrap_err();
            assert_eq!(error.line, line, "{error}");
            assert!(error.to_string().starts_with("t.rmtasm: line"), "{error}");
            assert!(error.reason.contains(part), "{error}");
        }
    }

    #[test]
    fn a_wrong_expectation_fails_with_its_line() {
        let text = "test a\n    movi r1, 4\n    out out0, r1\n    exit decided\nrun => decided 5\n";
        let case = &parse("t", text).unwrap()[0];
        let mut engine = crate::engine::InterpreterEngine::default();
        let failure = super::super::run(case, &mut engine).unwrap_err();
        assert_eq!((failure.line, failure.test.as_str()), (5, "a"));
        assert!(failure.reason.contains("[5, 0, 0]") && failure.reason.contains("[4, 0, 0]"));
    }
}
