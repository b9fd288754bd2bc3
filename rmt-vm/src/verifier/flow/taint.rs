//! What the flow pass knows of a value.

/// Where private data came from; `None` for public data.
pub(super) type Taint = Option<Origin>;

/// Where private data entered the action: for messages only, all origins are equally private.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// This instruction loaded it.
    Load(u16),
    /// A branch at this instruction looked at it.
    Branch(u16),
    /// It is an argument of the tail call, or it chose the table's entry.
    Caller,
}

/// Private if either is.
pub(super) fn join(a: Taint, b: Taint) -> Taint {
    a.or(b)
}

/// What is known of a scalar register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value {
    /// Whether it derives from private data.
    pub(super) taint: Taint,
    /// Whether it is exactly the key of the event: a record opened with it is the event's own.
    pub(super) event_key: bool,
}

impl Value {
    pub(super) const PUBLIC: Self = Self { taint: None, event_key: false };

    /// What holds of both.
    pub(super) fn join(self, other: Self) -> Self {
        Self { taint: join(self.taint, other.taint), event_key: self.event_key && other.event_key }
    }
}

/// What is known of the open record of a context store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// It belongs to the event's key.
    pub(super) own: bool,
    /// Whether private data decided which record it is.
    pub(super) choice: Taint,
    /// The same, where others could see which one is written: the event's own record is
    /// no secret to its owner.
    pub(super) visible_choice: Taint,
}

impl Record {
    /// A record that was not opened; it is never used.
    pub(super) const NONE: Self = Self { own: true, choice: None, visible_choice: None };

    pub(super) fn join(self, other: Self) -> Self {
        Self {
            own: self.own && other.own,
            choice: join(self.choice, other.choice),
            visible_choice: join(self.visible_choice, other.visible_choice),
        }
    }
}
