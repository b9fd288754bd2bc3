//! Who may change something: the owner of the daemon, root, and a group. All others only read.
//!
//! The kernel says who the peer of a connection is (`SO_PEERCRED`); nothing that a client sends
//! counts. Members of the group are looked up once, at start.

use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd;

use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;

use crate::protocol::{Refusal, RefusalKind};

/// Who may change something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    users: HashSet<u32>,
    group: Option<(u32, String)>,
}

/// The peer of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its effective user.
    pub user: u32,
    /// Its effective group.
    pub group: u32,
}

impl Peer {
    /// Whom the kernel says the peer of a socket is.
    ///
    /// # Errors
    /// The system's.
    pub fn of(socket: impl AsFd) -> io::Result<Self> {
        let credentials = socket_peercred(socket)?;
        Ok(Self { user: credentials.uid.as_raw(), group: credentials.gid.as_raw() })
    }
}

impl Rights {
    /// Root, this process's own user, and the members of a group.
    ///
    /// # Errors
    /// When there is no such group.
    pub fn new(group: Option<&str>) -> Result<Self, String> {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let mut rights = Self::of_files(group, &read("/etc/group"), &read("/etc/passwd"))?;
        rights.users.insert(geteuid().as_raw());
        Ok(rights)
    }

    /// Nobody, not even the owner: everything is only read.
    pub fn nobody() -> Self {
        Self::default()
    }

    fn of_files(group: Option<&str>, groups: &str, users: &str) -> Result<Self, String> {
        let mut rights = Self { users: HashSet::from([0]), group: None };
        let Some(name) = group else { return Ok(rights) };
        let lines = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let mut named = lines.filter(|fields| fields.len() == 4 && fields[0] == name);
        let fields = named.next().ok_or_else(|| {
            format!("there is no group `{name}`; make it (groupadd {name}) or name another")
        })?;
        let number = fields[2].parse().map_err(|_| format!("group `{name}` has no number"))?;
        let members: HashSet<&str> = fields[3].split(',').collect();
        for user in users.lines().map(|line| line.split(':').collect::<Vec<_>>()) {
            if let [name, _, uid, gid, ..] = user[..]
                && (members.contains(name) || gid == fields[2])
            {
                rights.users.extend(uid.parse::<u32>());
            }
        }
        rights.group = Some((number, name.to_owned()));
        Ok(rights)
    }

    /// Whether a peer may change something.
    ///
    /// # Errors
    /// A refusal that says who may.
    pub fn check(&self, peer: Peer) -> Result<(), Refusal> {
        let in_group = self.group.as_ref().is_some_and(|(number, _)| *number == peer.group);
        if in_group || self.users.contains(&peer.user) {
            return Ok(());
        }
        let reason = format!("user {} may read but not change anything", peer.user);
        let remedy = match &self.group {
            Some((_, name)) => format!("be root, the owner of the daemon or in group `{name}`"),
            None => "be root or the owner of the daemon, or start it with --group".to_owned(),
        };
        Err(Refusal::new(RefusalKind::NotAllowed, reason, remedy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: &str = "root:x:0:\nrmt:x:77:ann,bob\nstaff:x:50:eve\n";
    const USERS: &str = "root:x:0:0::/root:/bin/sh\nann:x:1001:1001::/:/bin/sh\n\
                         bob:x:1002:1002::/:/bin/sh\neve:x:1003:50::/:/bin/sh\nzoe:x:1004:77::/:/bin/sh\n";

    #[test]
    fn root_the_owner_and_the_group_may_and_others_may_not() {
        let rights = Rights::of_files(Some("rmt"), GROUPS, USERS).unwrap();
        let may = |user, group| rights.check(Peer { user, group }).is_ok();
        assert!(may(0, 0) && may(1001, 1001) && may(1002, 1002) && may(1004, 77));
        assert!(may(1003, 77), "the group of the process counts as well");
        assert!(!may(1003, 50) && !may(9999, 9999));
        let message = rights.check(Peer { user: 1003, group: 50 }).unwrap_err().to_string();
        assert!(message.contains("user 1003") && message.contains("group `rmt`"), "{message}");
        assert!(
            Rights::of_files(Some("none"), GROUPS, USERS).unwrap_err().contains("groupadd none")
        );
        let alone = Rights::of_files(None, GROUPS, USERS).unwrap();
        assert!(alone.check(Peer { user: 1001, group: 77 }).is_err());
        // The test's own process owns what it starts.
        let own = Peer { user: geteuid().as_raw(), group: 1 };
        Rights::new(None).unwrap().check(own).unwrap();
    }
}
