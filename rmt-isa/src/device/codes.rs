//! Numbers with a meaning: errors of queue pairs, admin commands, how commands end.

macro_rules! codes {
    ($($(#[doc = $enum_doc:literal])* $enum_name:ident: $repr:ident { $($(#[doc = $doc:literal])* $name:ident = $number:literal, $text:literal;)* })*) => {
        $(
            $(#[doc = $enum_doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
            pub enum $enum_name {
                $($(#[doc = $doc])* $name = $number,)*
            }

            impl $enum_name {
                /// All values, by number.
                pub const ALL: &[Self] = &[$(Self::$name),*];

                /// The value of a number.
                pub const fn from_number(number: $repr) -> Option<Self> {
                    match number {
                        $($number => Some(Self::$name),)*
                        _ => None,
                    }
                }

                /// Short name for messages and tables.
                pub const fn text(self) -> &'static str {
                    match self {
                        $(Self::$name => $text,)*
                    }
                }

                /// Meaning.
                pub const fn doc(self) -> &'static str {
                    match self {
                        $(Self::$name => concat!($($doc),*),)*
                    }
                }
            }

            impl core::str::FromStr for $enum_name {
                type Err = String;

                /// The value of a short name; the error says which names there are.
                fn from_str(text: &str) -> Result<Self, String> {
                    let found = Self::ALL.iter().find(|value| value.text() == text);
                    found.copied().ok_or_else(|| {
                        let names: Vec<_> = Self::ALL.iter().map(|value| value.text()).collect();
                        format!("`{text}` is none of: {}", names.join(", "))
                    })
                }
            }

            impl core::fmt::Display for $enum_name {
                fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                    f.write_str(self.text())
                }
            }
        )*
    };
}

pub(crate) use codes;

codes! {
    /// Why a queue pair stopped taking events. Stopping and enabling it clears the error.
    QueueError: u8 {
        /// No error.
        None = 0, "none";
        /// It was enabled with sizes out of range or rings that are not aligned.
        BadConfiguration = 1, "bad-configuration";
        /// `EVENT_TAIL` was written with an index more than the ring's size ahead of `EVENT_HEAD`.
        EventOverrun = 2, "event-overrun";
        /// `COMPLETION_HEAD` was written with an index that is not between the old one and `COMPLETION_TAIL`.
        BadCompletionHead = 3, "bad-completion-head";
        /// An inline event came with no free place in the completion ring, or none in the card.
        InlineOverrun = 4, "inline-overrun";
        /// The last four bytes of an inline event came before the others.
        InlinePartial = 5, "inline-partial";
        /// The host refused a read of the ring (unsupported request or completer abort).
        ReadRefused = 6, "read-refused";
        /// A read of the ring brought poisoned data.
        ReadPoisoned = 7, "read-poisoned";
        /// A read of the ring was not answered in time.
        ReadTimeout = 8, "read-timeout";
    }
    /// What an admin command asks for.
    AdminOpcode: u16 {
        /// Nothing; shows that the queue works.
        Nop = 0, "nop";
        /// Writes `COUNT` words of 64 bits from host memory at `HOST_ADDRESS` to words `CORE_WORD` on. Host memory is read in whole lines of 64 bytes.
        WriteBlock = 1, "write-block";
        /// Writes `COUNT` words: host memory at `HOST_ADDRESS` holds 16 bytes for each, the word's address in the first 8 and the word in the last.
        WriteList = 2, "write-list";
        /// Reads `COUNT` words from word `CORE_WORD` on into host memory at `HOST_ADDRESS`.
        ReadBlock = 3, "read-block";
        /// Writes `VALUE` to word `CORE_WORD` and gives the word back in `RESULT0`, behind all commands before it.
        Commit = 4, "commit";
        /// Copies the block `COUNTERS` (64 bytes) to host memory at `HOST_ADDRESS`. Each counter is whole; they are not all of one cycle.
        ReadCounters = 5, "read-counters";
        /// Stops queue pair `VALUE` and waits until no event of it is inside.
        ResetQueue = 6, "reset-queue";
        /// `RESULT0`: register `STATUS` in the low half, `ERRORS` in the high half; `RESULT1`: `FAILED_PAIRS`; `RESULT2`: `CYCLES`.
        Health = 7, "health";
    }
    /// How an admin command ended.
    AdminStatus: u8 {
        /// Done.
        Done = 0, "done";
        /// Unknown opcode or reserved bytes that are not zero; nothing was done.
        BadCommand = 1, "bad-command";
        /// `HOST_ADDRESS` is no multiple of 64, `COUNT` or `VALUE` is out of range; nothing was done.
        BadArgument = 2, "bad-argument";
        /// The host refused a read, answered with poisoned data, or not in time; the words before the failed block were written.
        HostReadFailed = 3, "host-read-failed";
        /// The core did not answer in time.
        CoreTimeout = 4, "core-timeout";
        /// The queue pair did not become idle in time.
        PairTimeout = 5, "pair-timeout";
    }
}
