//! Delays of cells and of the ways between them, in the format SDF: what nextpnr and the database write of it.

/// An element: a word, or a list of elements in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    /// A word, without quotation marks and escapes.
    Word(String),
    /// A list.
    List(Vec<Node>),
}

/// Lists within lists, at most.
const DEEPEST: usize = 32;
/// Units in a nanosecond: nextpnr tells of picoseconds, the database of nanoseconds.
const PICOSECONDS: f64 = 1e3;

/// A cell with what is known of it, nanoseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    /// Its type.
    pub kind: String,
    /// Its name.
    pub instance: String,
    /// From pin, to pin, delay.
    pub delays: Vec<(String, String, f64)>,
    /// Pin, clock, time before the clock.
    pub setups: Vec<(String, String, f64)>,
    /// From `cell/pin`, to `cell/pin`, delay; the cell of the whole design has them.
    pub ways: Vec<(String, String, f64)>,
}

impl Node {
    fn list(&self) -> &[Self] {
        match self {
            Self::List(list) => list,
            Self::Word(_) => &[],
        }
    }

    fn word(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::List(_) => "",
        }
    }

    /// Of a list: the first word.
    fn head(&self) -> &str {
        self.list().first().map_or("", Self::word)
    }

    /// The name of a pin, which may stand behind an edge.
    fn pin(&self) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::List(list) => list.last().map_or("", Self::word).to_owned(),
        }
    }
}

/// The largest of the numbers of some elements: `(1:2:3)`, `(1::3)`.
fn largest(nodes: &[Node], unit: f64) -> Option<f64> {
    let words = nodes.iter().flat_map(Node::list).flat_map(|node| node.word().split(':'));
    let numbers = words.filter_map(|number| number.parse::<f64>().ok());
    numbers.filter(|number| number.is_finite()).reduce(f64::max).map(|number| number / unit)
}

/// All lists of the file, as one element each.
///
/// # Errors
/// What is wrong with it.
fn parse(text: &str) -> Result<Vec<Node>, String> {
    let mut open: Vec<Vec<Node>> = vec![Vec::new()];
    let mut characters = text.char_indices().peekable();
    while let Some((place, character)) = characters.next() {
        let node = match character {
            '(' if open.len() > DEEPEST => return Err("it has too many lists in lists".to_owned()),
            '(' => {
                open.push(Vec::new());
                continue;
            }
            ')' => {
                let closed = open.pop().unwrap_or_default();
                Node::List(closed)
            }
            '"' => {
                let rest = &text[place + 1..];
                let length = rest.find('"').ok_or("a text does not end")?;
                while characters.next_if(|(other, _)| *other <= place + 1 + length).is_some() {}
                Node::Word(rest[..length].to_owned())
            }
            space if space.is_whitespace() => continue,
            first => {
                let mut word = String::new();
                let mut next = Some(first);
                while let Some(character) = next {
                    // What follows a backslash stands for itself.
                    if character == '\\' {
                        word.extend(characters.next().map(|(_, escaped)| escaped));
                    } else {
                        word.push(character);
                    }
                    next = characters
                        .next_if(|(_, next)| !next.is_whitespace() && !matches!(next, '(' | ')'))
                        .map(|(_, next)| next);
                }
                Node::Word(word)
            }
        };
        open.last_mut().ok_or("a bracket closes what is not open")?.push(node);
    }
    match (open.pop(), open.is_empty()) {
        (Some(nodes), true) => Ok(nodes),
        _ => Err("a bracket is not closed".to_owned()),
    }
}

/// The cells of a file.
///
/// # Errors
/// What is wrong with it.
pub fn cells(text: &str) -> Result<Vec<Cell>, String> {
    let nodes = parse(text)?;
    let file = nodes.iter().find(|node| node.head() == "DELAYFILE").ok_or("it has no DELAYFILE")?;
    let scale = file.list().iter().find(|node| node.head() == "TIMESCALE");
    // `1ps` may be one word or two.
    let scale: String = scale.into_iter().flat_map(Node::list).skip(1).map(Node::word).collect();
    let unit = if scale == "1ps" { PICOSECONDS } else { 1.0 };
    Ok(file
        .list()
        .iter()
        .filter(|node| node.head() == "CELL")
        .map(|node| cell(node, unit))
        .collect())
}

fn cell(node: &Node, unit: f64) -> Cell {
    let mut cell = Cell::default();
    for part in node.list() {
        match part.head() {
            "CELLTYPE" => cell.kind = part.list().get(1).map_or("", Node::word).to_owned(),
            "INSTANCE" => cell.instance = part.list().get(1).map_or("", Node::word).to_owned(),
            "DELAY" => {
                let entries = part.list().iter().flat_map(Node::list);
                for entry in entries {
                    let [head, from, to, times @ ..] = entry.list() else { continue };
                    let Some(delay) = largest(times, unit) else { continue };
                    match head.word() {
                        "IOPATH" => cell.delays.push((from.pin(), to.pin(), delay)),
                        "INTERCONNECT" => cell.ways.push((from.pin(), to.pin(), delay)),
                        _ => {}
                    }
                }
            }
            "TIMINGCHECK" => {
                for entry in part.list() {
                    let [head, pin, clock, setup, ..] = entry.list() else { continue };
                    // The hold time stands behind, or by itself.
                    if matches!(head.word(), "SETUPHOLD" | "SETUP")
                        && let Some(setup) = largest(std::slice::from_ref(setup), unit)
                    {
                        cell.setups.push((pin.pin(), clock.pin(), setup));
                    }
                }
            }
            _ => {}
        }
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_of_both_writers_are_read() {
        let nextpnr = r#"(DELAYFILE (SDFVERSION "3.0") (TIMESCALE 1ps)
            (CELL (CELLTYPE "top") (INSTANCE ) (DELAY (ABSOLUTE
              (INTERCONNECT a.\$x\:1/Q b/A1 (100:110:120) (90:95:130)))))
            (CELL (CELLTYPE "FF") (INSTANCE a.\$x\:1) (DELAY (ABSOLUTE (IOPATH CK Q (300:325:350) (300:325:350))))
              (TIMINGCHECK (SETUPHOLD (posedge D) (posedge CK) (100:100:100) (200:200:200)))))"#;
        let cells = cells(nextpnr).unwrap();
        assert_eq!(cells[0].ways, [("a.$x:1/Q".to_owned(), "b/A1".to_owned(), 0.13)]);
        assert_eq!((cells[1].kind.as_str(), cells[1].instance.as_str()), ("FF", "a.$x:1"));
        assert_eq!(cells[1].delays, [("CK".to_owned(), "Q".to_owned(), 0.35)]);
        assert_eq!(cells[1].setups, [("D".to_owned(), "CK".to_owned(), 0.1)]);
        let database = r#"(DELAYFILE (TIMESCALE 1 ns) (CELL (CELLTYPE "B_AREG_0") (INSTANCE B)
            (DELAY (ABSOLUTE (IOPATH CLK P (0.1::0.2)(0.3::0.4))))
            (TIMINGCHECK (HOLD A (posedge CLK) (-3::-1)) (SETUP A (posedge CLK) (1.0::3.7)))))"#;
        let cells = super::cells(database).unwrap();
        assert_eq!(cells[0].delays, [("CLK".to_owned(), "P".to_owned(), 0.4)]);
        assert_eq!(cells[0].setups, [("A".to_owned(), "CLK".to_owned(), 3.7)]);
    }

    #[test]
    fn what_is_no_list_of_delays_is_refused() {
        for text in ["", "x", "(", "(DELAYFILE", "(DELAYFILE))", ")", "(DELAYFILE \"x)", "(OTHER)"]
        {
            assert!(cells(text).is_err(), "{text}");
        }
        assert!(cells(&"(".repeat(1_000_000)).is_err());
        // Entries that say nothing are passed over.
        let odd = "(DELAYFILE (CELL) (CELL (DELAY (ABSOLUTE (IOPATH A) (IOPATH A B (x)) (IOPATH A B ())))) (CELL (TIMINGCHECK (SETUP A) x)) \\";
        assert!(cells(odd).is_err());
        let cells = cells(&odd.replace('\\', ")")).unwrap();
        assert!(cells.iter().all(|cell| cell.delays.is_empty() && cell.setups.is_empty()));
    }
}
