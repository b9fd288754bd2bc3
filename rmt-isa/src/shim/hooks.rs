//! The kernel's decision points that the module can attach to, and what their events carry.

use crate::event::{EVENT_BYTES, WireField, event_layout};

/// An argument of a hook's event: a field of the 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Place and meaning.
    pub field: WireField,
    /// Whether it is a signed integer.
    pub signed: bool,
}

/// A decision point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelHook {
    /// Number, the `hook` of its events.
    pub number: u16,
    /// Name, as programs declare it.
    pub name: &'static str,
    /// The kernel's function that the module attaches to.
    pub function: &'static str,
    /// Meaning of the key.
    pub key: &'static str,
    /// What the kernel's own answer in an outcome means.
    pub answer: &'static str,
    /// Whether the hooked function's result waits for the answer; else the daemon carries it out.
    pub synchronous: bool,
    /// When it fires.
    pub doc: &'static str,
    /// The arguments, by place.
    pub arguments: &'static [Argument],
}

impl KernelHook {
    /// The hook of a number.
    pub fn from_number(number: u16) -> Option<&'static Self> {
        HOOKS.iter().find(|hook| hook.number == number)
    }

    /// The hook of a name.
    pub fn from_name(name: &str) -> Option<&'static Self> {
        HOOKS.iter().find(|hook| hook.name == name)
    }

    /// The hook of a name or a number.
    ///
    /// # Errors
    /// Says which hooks there are.
    pub fn parse(text: &str) -> Result<&'static Self, String> {
        let by_number = text.parse().ok().and_then(Self::from_number);
        Self::from_name(text).or(by_number).ok_or_else(|| {
            let names: Vec<_> = HOOKS.iter().map(|hook| hook.name).collect();
            format!("there is no hook `{text}`; there are {}", names.join(", "))
        })
    }

    /// The argument of a name.
    pub fn argument(&self, name: &str) -> Option<&'static Argument> {
        self.arguments.iter().find(|argument| argument.field.name == name)
    }
}

macro_rules! is_signed {
    (i16) => {
        true
    };
    (i32) => {
        true
    };
    ($unsigned:ident) => {
        false
    };
}

macro_rules! hooks {
    ($($(#[doc = $doc:literal])* $const_name:ident = $number:literal, $name:ident: $function:ident ($key:literal) -> $answer:literal, $synchronous:literal {
        $($(#[doc = $field_doc:literal])* $field:ident: $type:ident @ $offset:literal;)*
    })*) => {
        $($(#[doc = $doc])* pub const $const_name: KernelHook = KernelHook {
            number: $number, name: stringify!($name), function: stringify!($function), key: $key,
            answer: $answer, synchronous: $synchronous, doc: concat!($($doc),*),
            arguments: &[$(Argument {
                field: WireField {
                    name: stringify!($field), offset: $offset, bytes: size_of::<$type>(),
                    doc: concat!($($field_doc),*),
                },
                signed: is_signed!($type),
            }),*],
        };)*
        /// All hooks, by number.
        pub const HOOKS: &[KernelHook] = &[$($const_name),*];
    };
}

hooks! {
    /// A process reads a page that was swapped out, whether it is still in memory or not.
    DO_SWAP_PAGE = 1, do_swap_page: swap_cache_get_folio ("process (thread group) id")
        -> "1: the page was in memory, 0: it must be read", false {
        /// Virtual page number: address / 4096.
        vpn: u64 @ 16;
        /// Slot in the swap area.
        swap_offset: u64 @ 24;
    }
    /// The scheduler balances load and looks at a task: may it move from its processor to another?
    CAN_MIGRATE_TASK = 2, can_migrate_task: can_migrate_task ("thread id of the task")
        -> "1: it may move", true {
        /// 1: more tasks run on the source than prefer its node.
        src_non_pref_nr: i16 @ 16;
        /// 1: the task ran within the last 0.5 ms.
        delta_hot: i16 @ 18;
        /// 1: the destination is idle.
        cpu_idle: i16 @ 20;
        /// 1: the destination is busy.
        cpu_not_idle: i16 @ 22;
        /// 1: the destination is about to become idle.
        cpu_newly_idle: i16 @ 24;
        /// 1: source and destination are of one NUMA node.
        same_node: i16 @ 26;
        /// 1: the task prefers the source's node.
        prefer_src: i16 @ 28;
        /// 1: the task prefers the destination's node.
        prefer_dst: i16 @ 30;
        /// Queued tasks on the source, saturating.
        src_len: i16 @ 32;
        /// Queued tasks on the destination, saturating.
        dst_len: i16 @ 38;
        /// 1: balancing failed more often than tasks are kept for their warm cache.
        extra_fails: i16 @ 42;
        /// 1: the task is the one that its queue wants to run next.
        buddy_hot: i16 @ 44;
        /// Average load of the source, saturating.
        src_load: u32 @ 48;
        /// Average load of the destination, saturating.
        dst_load: u32 @ 52;
        /// NUMA faults of the task on the destination's node less those on the source's, saturating.
        delta_faults: i32 @ 56;
        /// NUMA faults of the task, saturating.
        total_faults: i32 @ 60;
    }
    /// A swapped-out page must be read: the kernel reads neighbours ahead with it.
    SWAPIN_READAHEAD = 3, swapin_readahead: swapin_readahead ("process (thread group) id")
        -> "1: a page was read", false {
        /// Virtual page number: address / 4096.
        vpn: u64 @ 16;
        /// Slot in the swap area.
        swap_offset: u64 @ 24;
    }
    /// The kernel reads a cluster of slots of a swap device that has seek times.
    SWAP_CLUSTER_READAHEAD = 4, swap_cluster_readahead: swap_cluster_readahead ("process (thread group) id")
        -> "1: a page was read", false {
        /// Slot in the swap area.
        swap_offset: u64 @ 16;
    }
    /// The kernel is about to read pages of a file ahead.
    PAGE_CACHE_RA = 5, page_cache_ra_unbounded: page_cache_ra_unbounded ("inode number")
        -> "pages that the kernel reads", true {
        /// First page to read.
        index: u64 @ 16;
        /// Pages that the kernel would read.
        nr_to_read: u32 @ 24;
        /// Pages of them behind the mark that starts the next read-ahead.
        lookahead_size: u32 @ 28;
        /// Device that holds the file.
        device: u32 @ 32;
        /// Process (thread group) id.
        pid: u32 @ 36;
    }
}

/// Whether a hook's arguments lie in the event's argument bytes, in order and without overlap.
pub const fn is_well_formed(hook: &KernelHook) -> bool {
    let mut end = event_layout::ARGUMENTS.offset;
    let mut index = 0;
    while index < hook.arguments.len() {
        let field = hook.arguments[index].field;
        if field.offset < end || !field.offset.is_multiple_of(field.bytes) {
            return false;
        }
        end = field.offset + field.bytes;
        index += 1;
    }
    end <= EVENT_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_fit_the_event_in_order() {
        for hook in HOOKS {
            assert!(is_well_formed(hook), "{}", hook.name);
            assert_eq!(KernelHook::from_number(hook.number), Some(hook));
            assert_eq!(KernelHook::from_name(hook.name), Some(hook));
            assert_eq!(KernelHook::parse(&hook.number.to_string()), Ok(hook));
        }
        assert_eq!(CAN_MIGRATE_TASK.argument("delta_faults").map(|row| row.signed), Some(true));
        assert_eq!(DO_SWAP_PAGE.argument("pid"), None);
    }
}
