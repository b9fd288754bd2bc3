//! Holds the declared port list against the class that Verilator generated.
//!
//! The shim writes straight into the class's port members, so a port that is wider here than there
//! would be memory corruption. Verilator's header states every port in a macro, which this file
//! reads: `VL_IN8(&valid,0,0);` `VL_OUTW(&sums,511,0,16);`

use super::error::Error;
use super::spec::{Direction, Multiple, VerilatedBuild};

/// A port as Verilator declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    /// The name in the Verilog source.
    name: String,
    /// The name of the C++ member.
    member: String,
    width: u32,
    /// `None` for `inout`.
    direction: Option<Direction>,
}

/// Checks the ports of a build against the generated header and returns the text of `ports.inc`, which names
/// the members in the order of the ports, and the clocks that go with others.
pub(super) fn match_ports(build: &VerilatedBuild, header: &str) -> Result<String, Error> {
    let (top, declared) = (&build.top, &build.ports);
    let members = read_members(header);
    let mismatch = |port: &str, difference: String| {
        Err(Error::PortMismatch { top: top.clone(), port: port.to_owned(), difference })
    };
    let mut lines =
        String::from("// Generated: the model's ports in the order of the port list.\n");
    for port in declared {
        let Some(found) = members.iter().find(|member| member.name == port.name) else {
            return mismatch(
                &port.name,
                "declared, but the module has no such port (or an array of them)".to_owned(),
            );
        };
        if found.direction != Some(port.direction) {
            let is = found.direction.map_or("inout".to_owned(), |direction| direction.to_string());
            return mismatch(&port.name, format!("declared as {}, but it is {is}", port.direction));
        }
        if found.width != port.width {
            return mismatch(
                &port.name,
                format!("declared with {} bits, but it has {}", port.width, found.width),
            );
        }
        lines.push_str(&format!("PORT({})\n", found.member));
    }
    // An input that nobody knows of would stay at zero for ever, and the design would be blamed.
    let is_forgotten = |member: &&Member| {
        member.direction != Some(Direction::Output)
            && declared.iter().all(|port| port.name != member.name)
    };
    if let Some(forgotten) = members.iter().find(is_forgotten) {
        return mismatch(
            &forgotten.name,
            format!("an input of {} bits that is not declared", forgotten.width),
        );
    }
    let member = |name: &str| {
        let found = members.iter().find(|member| member.name == name);
        found.map_or_else(String::new, |found| found.member.clone())
    };
    for Multiple { of, clock, cycles } in &build.multiples {
        lines.push_str(&format!("MULTIPLE({}, {}, {cycles})\n", member(of), member(clock)));
    }
    Ok(lines)
}

fn read_members(header: &str) -> Vec<Member> {
    header.lines().filter_map(read_member).collect()
}

/// One macro line; `None` for any other line.
fn read_member(line: &str) -> Option<Member> {
    let (kind, arguments) = line.trim().strip_suffix(");")?.strip_prefix("VL_")?.split_once('(')?;
    let kind = kind.trim_end_matches(|c: char| c.is_ascii_digit() || c == 'W');
    let direction = match kind {
        "IN" => Some(Direction::Input),
        "OUT" => Some(Direction::Output),
        "INOUT" => None,
        _ => return None,
    };
    let mut arguments = arguments.split(',');
    let member = arguments.next()?.trim_start_matches('&');
    let left: u32 = arguments.next()?.trim().parse().ok()?;
    let right: u32 = arguments.next()?.trim().parse().ok()?;
    Some(Member {
        name: verilog_name(member),
        member: member.to_owned(),
        width: left.abs_diff(right) + 1,
        direction,
    })
}

/// Undoes Verilator's renaming: `__SYM__int` for names that C++ reserves, `__0XX` for characters
/// that C++ does not allow.
fn verilog_name(member: &str) -> String {
    let mut rest = member.strip_prefix("__SYM__").unwrap_or(member);
    let mut name = String::with_capacity(rest.len());
    while let Some(first) = rest.chars().next() {
        let code = rest
            .strip_prefix("__0")
            .and_then(|hex| hex.get(..2))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        if let Some(code) = code {
            name.push(char::from(code));
            rest = &rest[5..];
        } else {
            name.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verilated::Port;

    const HEADER: &str = "
    VL_IN8(&clk,0,0);
    VL_IN8(&a___05Fb,0,0);
    VL_IN8(&x__02ey,0,0);
    VL_IN8(&__SYM__int,0,0);
    VL_OUT8(&o,2,1);
    VL_IN16(&ascending,0,9);
    VL_INW(&s65,64,0,3);
    VL_OUT64(&q,63,0);
    Vm___024root* const rootp;
";

    fn all_inputs() -> Vec<Port> {
        let names =
            [("clk", 1), ("a__b", 1), ("x.y", 1), ("int", 1), ("ascending", 10), ("s65", 65)];
        names.map(|(name, width)| Port::input(name, width)).to_vec()
    }

    fn build(ports: Vec<Port>) -> VerilatedBuild {
        VerilatedBuild::new("top", Vec::new(), ports)
    }

    #[test]
    fn members_are_listed_in_the_order_of_the_declaration() {
        let mut ports = vec![Port::output("q", 64)];
        ports.extend(all_inputs());
        let text = match_ports(&build(ports), HEADER).unwrap();
        let names: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(names[..3], ["PORT(q)", "PORT(clk)", "PORT(a___05Fb)"]);
        assert_eq!(names[4], "PORT(__SYM__int)");
        assert_eq!(names.len(), 7, "the output that is not declared is left out");
        let multiples = vec![Multiple { of: "clk".into(), clock: "a__b".into(), cycles: 2 }];
        let text = match_ports(&VerilatedBuild { multiples, ..build(all_inputs()) }, HEADER);
        assert_eq!(text.unwrap().lines().last(), Some("MULTIPLE(clk, a___05Fb, 2)"));
    }

    #[test]
    fn every_difference_is_an_error_that_names_the_port() {
        let message = |change: &dyn Fn(&mut Vec<Port>)| {
            let mut ports = all_inputs();
            change(&mut ports);
            match_ports(&build(ports), HEADER).unwrap_err().to_string()
        };
        assert!(
            message(&|p| p[5].width = 64)
                .contains("`s65` of module `top`: declared with 64 bits, but it has 65")
        );
        assert!(
            message(&|p| p[0].direction = Direction::Output)
                .contains("declared as output, but it is input")
        );
        assert!(message(&|p| p[0].name = "clock".to_owned()).contains("no such port"));
        assert!(
            message(&|p| drop(p.remove(2)))
                .contains("`x.y` of module `top`: an input of 1 bits that is not declared")
        );
    }
}
