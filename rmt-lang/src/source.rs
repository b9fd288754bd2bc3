//! Places in the source text.

/// A piece of the source text, in bytes: `start` to `end`, `end` not included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Byte after the last one.
    pub end: u32,
}

impl Span {
    /// From byte `start` up to byte `end`.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        // Texts above 1 MiB are refused before they are read, so bytes fit 32 bits.
        Self { start: start as u32, end: end as u32 }
    }

    /// From the start of this piece to the end of `last`.
    pub(crate) fn to(self, last: Self) -> Self {
        Self { start: self.start.min(last.start), end: self.end.max(last.end) }
    }

    /// The bytes as a range for slicing.
    pub(crate) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spanned<T> {
    /// The value.
    pub(crate) node: T,
    /// Where it stands.
    pub(crate) span: Span,
}

/// A name and where it stands.
pub(crate) type Name = Spanned<String>;

/// Starts of the lines of a text, to turn bytes into lines and columns.
#[derive(Clone, Debug)]
pub(crate) struct LineIndex {
    starts: Vec<u32>,
}

impl LineIndex {
    /// Reads the lines of `text`.
    pub(crate) fn new(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
        Self { starts: std::iter::once(0).chain(ends.map(|(at, _)| at as u32 + 1)).collect() }
    }

    /// Line of a byte, counted from 1.
    pub(crate) fn line(&self, byte: u32) -> u32 {
        self.starts.partition_point(|&start| start <= byte) as u32
    }

    /// Line and column of a byte, both counted from 1; columns count characters.
    pub(crate) fn position(&self, text: &str, byte: u32) -> (u32, u32) {
        let line = self.line(byte);
        let start = self.starts[line as usize - 1] as usize;
        let before = text.get(start..byte as usize).unwrap_or_default();
        (line, before.chars().count() as u32 + 1)
    }
}
