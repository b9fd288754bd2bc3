//! Recorded traces as events: CSV, plain or compressed with zstd.
//!
//! `input` gives the text of a file, decompressed and with bounded lines; `number` reads one
//! value. [`EventReader`] joins them: the columns of the header are matched by name with the
//! fields of the program's hook, and each line becomes one event. Columns that no field asks
//! for are ignored. The tag of an event is its place in the trace, from 0.
//!
//! Values are numbers, so quotes have no meaning: an odd one cannot swallow the lines after it.
//!
//! Crate `csv` splits lines, `ruzstd` (all in Rust) decompresses. Memory is bounded by one
//! line and the window of the zstd stream, whatever the length of the trace.

mod input;
mod number;

use std::io::BufRead;
use std::path::Path;

use csv::StringRecord;
use rmt_isa::Event;
use rmt_isa::program::{EventField, Hook};

pub use input::MAX_LINE_BYTES;
pub use number::NumberError;

/// Why a trace cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// The file cannot be opened or read, is cut short, or has a line that never ends.
    #[error("{file}: {source}")]
    Input {
        /// The file.
        file: String,
        /// The reason.
        source: std::io::Error,
    },
    /// The file has no header line.
    #[error("{file}: there is no header line; the first line must name the columns: {}", expected.join(","))]
    NoHeader {
        /// The file.
        file: String,
        /// Columns that the hook's fields need.
        expected: Vec<String>,
    },
    /// A field of the hook has no column.
    #[error("{file}: line 1: hook `{hook}` has the field `{field}`, but no column has this name; the columns are: {}; rename one, or take the field out of the program", found.join(", "))]
    MissingColumn {
        /// The file.
        file: String,
        /// The hook.
        hook: String,
        /// The field.
        field: String,
        /// Columns of the file.
        found: Vec<String>,
    },
    /// Two columns have the name of a field.
    #[error("{file}: line 1: column `{column}` is there more than once; rename all but one")]
    RepeatedColumn {
        /// The file.
        file: String,
        /// The column.
        column: String,
    },
    /// A line has more or fewer columns than the header, or is no UTF-8.
    #[error("{file}: line {line}: {reason}")]
    Line {
        /// The file.
        file: String,
        /// Line of the decompressed text, from 1.
        line: u64,
        /// What was expected and what was found.
        reason: String,
    },
    /// A value is no number, or none of its field's type.
    #[error("{file}: line {line}, column `{column}`: `{text}` {reason}")]
    Value {
        /// The file.
        file: String,
        /// Line of the decompressed text, from 1.
        line: u64,
        /// The column.
        column: String,
        /// What stands there.
        text: String,
        /// What is wrong and what would be right.
        reason: Box<NumberError>,
    },
}

/// A field of the hook and the column that fills it.
struct Binding {
    field: EventField,
    column: usize,
}

/// Reads events, one for each line after the header.
pub struct EventReader {
    file: String,
    hook: u16,
    bindings: Vec<Binding>,
    lines: csv::Reader<Box<dyn BufRead>>,
    record: StringRecord,
    next_tag: u32,
    failed: bool,
}

impl EventReader {
    /// Opens a file and matches its columns with the hook's fields.
    ///
    /// # Errors
    /// [`EventsError`] when the file cannot be read or a field has no column.
    pub fn open(path: &Path, hook: &Hook) -> Result<Self, EventsError> {
        let name = path.display().to_string();
        let open = std::fs::File::open(path);
        let file = open.map_err(|source| EventsError::Input { file: name.clone(), source })?;
        Self::new(name, std::io::BufReader::new(file), hook)
    }

    /// Reads from a stream; `file` is its name in messages.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn new(
        file: String,
        source: impl BufRead + 'static,
        hook: &Hook,
    ) -> Result<Self, EventsError> {
        let text = input::text(source);
        let text = text.map_err(|source| EventsError::Input { file: file.clone(), source })?;
        let mut lines =
            csv::ReaderBuilder::new().quoting(false).trim(csv::Trim::All).from_reader(text);
        let header = lines.headers().map_err(|error| csv_error(&file, error))?.clone();
        if header.is_empty() {
            let expected = hook.fields.iter().map(|field| field.name.clone()).collect();
            return Err(EventsError::NoHeader { file, expected });
        }
        let bind = |field: &EventField| bind(&file, hook, field, &header);
        let bindings = hook.fields.iter().map(bind).collect::<Result<_, _>>()?;
        let (hook, record) = (hook.number, StringRecord::new());
        Ok(Self { file, hook, bindings, lines, record, next_tag: 0, failed: false })
    }

    fn read_event(&mut self) -> Result<Option<Event>, EventsError> {
        let more = self.lines.read_record(&mut self.record);
        if !more.map_err(|error| csv_error(&self.file, error))? {
            return Ok(None);
        }
        let mut event = Event::new(self.hook, self.next_tag, 0);
        self.next_tag = self.next_tag.wrapping_add(1);
        for Binding { field, column } in &self.bindings {
            let text = self.record.get(*column).unwrap_or("");
            let value = number::parse(text, field.kind).map_err(|reason| EventsError::Value {
                file: self.file.clone(),
                line: self.record.position().map_or(0, csv::Position::line),
                column: field.name.clone(),
                text: text.chars().take(40).collect(),
                reason: reason.into(),
            })?;
            event.store(field.offset.into(), field.kind.bytes(), value);
        }
        Ok(Some(event))
    }
}

fn bind(
    file: &str,
    hook: &Hook,
    field: &EventField,
    header: &StringRecord,
) -> Result<Binding, EventsError> {
    let mut columns = (0..header.len()).filter(|&column| header.get(column) == Some(&field.name));
    match (columns.next(), columns.next()) {
        (Some(column), None) => Ok(Binding { field: field.clone(), column }),
        (None, _) => Err(EventsError::MissingColumn {
            file: file.to_owned(),
            hook: hook.name.clone(),
            field: field.name.clone(),
            found: header.iter().map(str::to_owned).collect(),
        }),
        (Some(_), Some(_)) => {
            Err(EventsError::RepeatedColumn { file: file.to_owned(), column: field.name.clone() })
        }
    }
}

fn csv_error(file: &str, error: csv::Error) -> EventsError {
    let (file, line) = (file.to_owned(), error.position().map_or(1, csv::Position::line));
    match error.into_kind() {
        csv::ErrorKind::Io(source) => EventsError::Input { file, source },
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            let reason = format!(
                "it has {len} columns, the header has {expected_len}; the line is cut short or has a stray comma"
            );
            EventsError::Line { file, line, reason }
        }
        csv::ErrorKind::Utf8 { .. } => {
            let reason = "it is not UTF-8 text; is this a CSV file?".to_owned();
            EventsError::Line { file, line, reason }
        }
        other => EventsError::Line { file, line, reason: format!("{other:?}") },
    }
}

/// Gives an event for each line. After an error it ends: what follows cannot be trusted.
impl Iterator for EventReader {
    type Item = Result<Event, EventsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let event = self.read_event();
        self.failed = event.is_err();
        event.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmt_isa::operand::IntType;
    use rmt_isa::program::Label;

    fn hook() -> Hook {
        let field = |name: &str, kind, offset| EventField {
            name: name.into(),
            kind,
            offset,
            label: Label::Public,
        };
        Hook {
            name: "do_swap_page".into(),
            number: 7,
            fields: vec![
                field("pid", IntType::U64, 8),
                field("vpn", IntType::U64, 16),
                field("delta", IntType::I16, 24),
            ],
        }
    }

    fn read(text: &[u8]) -> Result<Vec<Event>, EventsError> {
        let text = std::io::Cursor::new(text.to_vec());
        EventReader::new("trace.csv".into(), text, &hook())?.collect()
    }

    fn refuse(text: &str) -> String {
        read(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn columns_are_found_by_name_and_others_ignored() {
        let text = "vpn,time_us,phase, delta ,pid\n34134888566,1,bs100,-3,301\n0xff,2,,0x10,9\n";
        let events = read(text.as_bytes()).unwrap();
        assert_eq!(events.len(), 2);
        assert_eq!((events[0].hook(), events[0].tag(), events[0].key()), (7, 0, 301));
        assert_eq!((events[0].load(16, 8), events[0].load(24, 2)), (34134888566, 0xfffd));
        assert_eq!((events[1].tag(), events[1].key()), (1, 9));
        assert_eq!((events[1].load(16, 8), events[1].load(24, 8)), (255, 16));
    }

    #[test]
    fn errors_name_file_line_column_reason_and_remedy() {
        let missing = refuse("pid,vpn\n1,2\n");
        assert!(missing.starts_with("trace.csv: line 1: hook `do_swap_page`"), "{missing}");
        assert!(missing.contains("`delta`") && missing.contains("pid, vpn"), "{missing}");
        let value = refuse("pid,vpn,delta\n1,2,3\n1,zwei,3\n");
        assert!(value.starts_with("trace.csv: line 3, column `vpn`: `zwei`"), "{value}");
        let range = refuse("pid,vpn,delta\n1,2,40000\n");
        assert!(range.contains("column `delta`") && range.contains("-32768 to 32767"), "{range}");
        let short = refuse("pid,vpn,delta\n1,2\n");
        assert!(short.contains("line 2: it has 2 columns, the header has 3"), "{short}");
        assert!(refuse("").contains("no header"));
        assert!(refuse("pid,vpn,delta,pid\n").contains("more than once"));
        assert!(read(b"pid,vpn,delta\n1,\xff,2\n").unwrap_err().to_string().contains("UTF-8"));
    }

    #[test]
    fn nothing_follows_an_error() {
        let text = std::io::Cursor::new(b"pid,vpn,delta\nx,2,3\n1,2,3\n".to_vec());
        let mut reader = EventReader::new("t".into(), text, &hook()).unwrap();
        assert!(reader.next().unwrap().is_err());
        assert!(reader.next().is_none());
    }

    #[test]
    fn a_missing_file_is_an_error_with_its_name() {
        let error = EventReader::open(Path::new("/nowhere/t.csv"), &hook()).err().unwrap();
        assert!(error.to_string().starts_with("/nowhere/t.csv: "));
    }
}
